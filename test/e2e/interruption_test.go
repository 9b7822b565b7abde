package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/test/servers"
)

// The import is killed while half of the file has arrived, and is repeated.
func TestKilledImportGoesOn(t *testing.T) {
	t.Parallel()
	file := generated(t, 6000)
	path := database(t, false)
	cmd := command(t, path, nil, "import", "-")
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = input.Write([]byte(file[:len(file)/2]))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	r := done(t, path, "import", write(t, file))
	var added, there int
	_, err = fmt.Sscanf(r.out, "users: users 6000, faces 8000: %d added, %d there already", &added, &there)
	require.NoError(t, err)
	t.Logf("after the kill: %d faces were there, %d added", there, added)
	require.Equal(t, 8000, added+there)
	require.Greater(t, there, 1000)
	require.Equal(t, canonical(t, file), exported(t, path))
}

// The migration is killed again and again, and ends with the same gallery.
func TestKilledMigrationGoesOn(t *testing.T) {
	t.Parallel()
	source, target := database(t, false), database(t, false)
	done(t, source, "import", write(t, generated(t, 6000)))
	from, to := memoryYAML(t, source), memoryYAML(t, target)
	kills := 0
	for ; kills < 5; kills++ {
		cmd := migrateCommand(t, from, to)
		if killed := killWhenGrown(t, cmd, target+"-wal", 256<<10); !killed {
			break
		}
	}
	r := finish(t, migrateCommand(t, from, to))
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.out, "verified, both sides:\nusers: users 6000, faces 8000, sha256 ")
	t.Logf("after %d kills: %s", kills, strings.SplitN(r.out, "\n", 2)[0])
	require.Positive(t, kills)
	require.Equal(t, exported(t, source), exported(t, target))
}

// killWhenGrown starts a command and kills it when a file has grown by some
// bytes, and reports whether it was still running then.
func killWhenGrown(t testing.TB, cmd *exec.Cmd, path string, by int64) bool {
	t.Helper()
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	began, exited := size(), make(chan error, 1)
	require.NoError(t, cmd.Start())
	go func() { exited <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		select {
		case err := <-exited:
			if code := cmd.ProcessState.ExitCode(); code != 3 {
				require.NoError(t, err)
			}
			return false
		case <-ctx.Done():
			require.NoError(t, cmd.Process.Kill())
			<-exited
			t.Fatal("nothing is written")
		case <-time.After(time.Millisecond):
		}
		now := size()
		if began = min(began, now); now-began >= by {
			if err := cmd.Process.Kill(); errors.Is(err, os.ErrProcessDone) {
				continue // it was faster
			}
			<-exited
			return true
		}
	}
}

// The target's server is killed and comes back in the middle of a migration,
// which waits for it and ends well.
func TestMigrationLivesThroughARestart(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	source := database(t, false)
	done(t, source, "import", write(t, generated(t, 6000)))
	from, to := memoryYAML(t, source), yaml(t, "  driver: pgvector\n  pgvector:\n    dsn: "+pg.DSN()+"\n")
	cmd := migrateCommand(t, from, to)
	finished := make(chan result, 1)
	go func() {
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		finished <- result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}()
	waitForFaces(t, pg.DSN(), 1000)
	pg.Kill()
	require.NoError(t, pg.Restart())
	r := <-finished
	require.Zero(t, r.code, "%s%s", r.out, r.err)
	require.Contains(t, r.out, "users: users 6000, faces 8000: 8000 added")
	require.Contains(t, r.out, "verified, both sides:")
}

// The database server is killed and comes back, twice, in the middle of a bulk
// enrolment and while clients enrol over HTTP. The run waits for it and ends well,
// and everything that was acknowledged to anybody is there.
func TestEnrolSurvivesARestart(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	env := []string{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=" + pg.DSN()}
	const pictures = 120
	dir := t.TempDir()
	for i := range pictures {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("person-%03d.jpg", i)), portrait(t), 0o600))
	}
	s := start(t, env...)
	cmd := command(t, "", append(pipelineEnvironment(t), env...), "enroll", dir)
	finished := make(chan result, 1)
	go func() {
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		finished <- result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}()
	stop, acknowledged := make(chan struct{}), make(chan []string, 1)
	face := faceJSON(portrait(t))
	go func() { acknowledged <- enrolUntil(t.Context(), s, face, stop) }()

	for _, faces := range []int{20, 60} {
		waitForFaces(t, pg.DSN(), faces)
		pg.Kill()
		require.NoError(t, pg.Restart())
	}
	r := <-finished
	close(stop)
	require.Zero(t, r.code, "%s%s", r.out, r.err)
	require.Regexp(t, fmt.Sprintf(`^users: users %d: \d+ enrolled, \d+ there already, 0 refused`, pictures), r.out)

	var there []string
	for line := range strings.Lines(finish(t, command(t, "", env, "export")).out) {
		var face struct{ UserID string }
		require.NoError(t, json.Unmarshal([]byte(line), &face))
		there = append(there, face.UserID)
	}
	overHTTP := <-acknowledged
	t.Logf("%s%d enrolments over HTTP acknowledged, %d faces in the gallery", r.out, len(overHTTP), len(there))
	require.NotEmpty(t, overHTTP)
	require.Subset(t, there, overHTTP)
	for i := range pictures {
		require.Contains(t, there, fmt.Sprintf("person-%03d", i))
	}
}

// enrolUntil enrols one user after the other over HTTP until it is told to stop,
// and returns those that were acknowledged.
func enrolUntil(ctx context.Context, s *server, body string, stop <-chan struct{}) (acknowledged []string) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return acknowledged
		default:
		}
		user := fmt.Sprintf("over-http-%d", i)
		if a, err := s.call(ctx, "POST", "/users/"+user, body); err == nil && a.status == http.StatusOK {
			acknowledged = append(acknowledged, user)
		}
	}
}

// waitForFaces waits until a PostgreSQL store has so many faces.
func waitForFaces(t testing.TB, dsn string, n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for faces := 0; faces < n; {
		// The table is not there at first.
		_ = conn.QueryRow(ctx, "SELECT count(*) FROM imago.faces").Scan(&faces)
		require.NoError(t, ctx.Err(), "nothing is written")
	}
}
