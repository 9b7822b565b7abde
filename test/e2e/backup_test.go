package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/servers"
)

// backup is a backend whose gallery is lost, and comes back by the commands of
// docker/README.md.
type backup struct {
	store    []string // settings of the imago that is backed up
	restored []string // those of the one behind the restore, where they differ
	folder   string   // of the commands, with config/
	path     string   // folder of the server's own tools
	lose     func(*server)
}

// The commands for backup and restore do what they say: a backup is taken
// while imago runs, then everything is lost, and behind the restore every search
// has the answer that it had.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	var steps []step
	for _, s := range pageSteps(t, "docker/README.md", "## Backup and restore") {
		save, restore, found := strings.Cut(s.commands, "\n# Back")
		require.True(t, found, s.commands)
		_, restore, _ = strings.Cut(restore, "\n")
		steps = append(steps, step{commands: save}, step{commands: restore})
	}
	require.Len(t, steps, 6)
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		backup{
			store:  []string{"IMAGO_STORE_MEMORY_PATH=" + filepath.Join(folder, "data", "imago.db")},
			folder: folder,
			// What is lost is still in the write-ahead log that a killed imago leaves.
			lose: func(s *server) { s.kill() },
		}.check(t, steps[0], steps[1])
	})
	t.Run("pgvector", func(t *testing.T) {
		t.Parallel()
		pg := servers.Postgres(t)
		backup{
			store:  []string{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=" + pg.DSN()},
			folder: t.TempDir(),
			path:   pg.Programs(),
			lose:   func(s *server) { s.stop() },
		}.check(t, steps[2], steps[3])
	})
	t.Run("milvus", func(t *testing.T) {
		t.Parallel()
		milvus := servers.OwnMilvus(t, servers.MilvusOptions{})
		backup{
			store:    []string{"IMAGO_STORE_DRIVER=milvus", "IMAGO_STORE_MILVUS_ADDRESS=" + milvus.Address()},
			restored: []string{"IMAGO_STORE_MILVUS_COLLECTION=imago_restored"},
			folder:   t.TempDir(),
			lose:     func(s *server) { s.stop() },
		}.check(t, steps[4], steps[5])
	})
}

func (b backup) check(t *testing.T, save, restore step) {
	require.NoError(t, os.MkdirAll(filepath.Join(b.folder, "data"), 0o700))
	require.NoError(t, os.Symlink(filepath.Join(fixture.Root(t), "config"), filepath.Join(b.folder, "config")))
	s := start(t, b.store...)
	people := []string{"obama", "biden"}
	for _, p := range people {
		require.Equal(t, 200, s.enrol(p, fixture.ReadPortrait(t, p+".jpg")).status)
	}
	before := answers(t, s, people)
	require.Contains(t, before, `"userId":"obama"`)
	b.run(t, save)

	for _, p := range people {
		require.Equal(t, 200, s.unenrol(p).status)
	}
	require.Equal(t, 200, s.enrol("late", fixture.ReadPortrait(t, "obama2.jpg")).status)
	require.NotEqual(t, before, answers(t, s, people))
	b.lose(s)

	b.run(t, restore)
	s = start(t, append(b.store, b.restored...)...)
	require.Equal(t, before, answers(t, s, people))
	require.Equal(t, 2, s.count(), "nobody else is there")
	require.Equal(t, 200, s.enrol("new", portrait(t)).status, "the store takes changes again")
}

// answers are those to searches for everybody, and what is known of the users.
func answers(t *testing.T, s *server, people []string) string {
	t.Helper()
	var all strings.Builder
	for _, p := range people {
		body := strings.TrimSuffix(faceJSON(fixture.ReadPortrait(t, p+".jpg")), "}") + `,"threshold":0}`
		fmt.Fprintln(&all, s.must("POST", "/users/search", body).body)
	}
	fmt.Fprintln(&all, s.must("GET", "/users", "").body)
	return all.String()
}

// run runs commands of the page with imago and the server's tools at hand.
func (b backup) run(t *testing.T, s step) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-ec", s.commands)
	cmd.Dir = b.folder
	path := strings.Join([]string{filepath.Dir(imago(t)), b.path, os.Getenv("PATH")}, string(filepath.ListSeparator))
	cmd.Env = append(pipelineEnvironment(t), "IMAGO_API_KEY="+apiKey, "PATH="+path)
	for _, setting := range b.store {
		if !strings.HasPrefix(setting, "IMAGO_STORE_DRIVER=") && !strings.HasPrefix(setting, "IMAGO_STORE_MEMORY_PATH=") {
			cmd.Env = append(cmd.Env, setting)
		}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", s.commands, out)
}
