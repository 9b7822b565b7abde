package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// command prepares a run of imago with a store at path; env adds to the
// environment.
func command(t testing.TB, path string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), imago(t), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "IMAGO_STORE_MEMORY_PATH=" + path}, env...)
	return cmd
}

// result is what a finished command said.
type result struct {
	out, err string
	code     int
}

// finish runs a command to its end, whatever that is.
func finish(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		require.ErrorAs(t, err, new(*exec.ExitError), "%s", errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// attempt runs a command over a store at path.
func attempt(t testing.TB, path string, args ...string) result {
	t.Helper()
	return finish(t, command(t, path, nil, args...))
}

// done runs a command that has to succeed.
func done(t testing.TB, path string, args ...string) result {
	t.Helper()
	r := attempt(t, path, args...)
	require.Zero(t, r.code, "%s%s", r.out, r.err)
	return r
}

// exported returns the export of a store.
func exported(t testing.TB, path string) string {
	t.Helper()
	return done(t, path, "export").out
}

func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gallery.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// database returns the path of a store that does not exist yet, and makes it
// where empty is set.
func database(t testing.TB, empty bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "imago.db")
	if empty {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	return path
}

// generated returns an export with n users: every third user has two faces.
func generated(t testing.TB, n int) string {
	t.Helper()
	const dimension = 128
	var faces []enrolledFace
	for i := range n {
		for f := range 1 + (i%3)/2 {
			vector := make([]float32, dimension)
			vector[(i+f)%dimension] = 1
			faces = append(faces, enrolledFace{fmt.Sprintf("user-%06d", i), fmt.Sprintf("f%d", f), vector})
		}
	}
	return galleryFile(t, faces)
}

// enrolledFace is a line of an export.
type enrolledFace struct {
	user, face string
	vector     []float32
}

// galleryFile returns an export of faces of collection users, in order, made by hand after the
// format's documentation.
func galleryFile(t testing.TB, faces []enrolledFace) string {
	t.Helper()
	header, _, _ := strings.Cut(exported(t, database(t, true)), "\n")
	file, digest := bytes.NewBufferString(header+"\n"), sha256.New()
	str := func(s string) []byte { return append(binary.LittleEndian.AppendUint32(nil, uint32(len(s))), s...) }
	digest.Write(append(str("imago-gallery 1"), str("users")...))
	users := map[string]bool{}
	for _, f := range faces {
		users[f.user] = true
		var vector []byte
		for _, x := range f.vector {
			vector = binary.LittleEndian.AppendUint32(vector, math.Float32bits(x))
		}
		owner, micros := "gateway", int64(1_700_000_000_000_000+len(users))
		line, err := json.Marshal(map[string]any{
			"collection": "users", "userId": f.user, "faceId": f.face, "owner": owner,
			"enrolledAt": time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z"),
			"vector":     base64.StdEncoding.EncodeToString(vector),
		})
		require.NoError(t, err)
		file.Write(append(line, '\n'))
		for _, part := range [][]byte{
			str(f.user), str(f.face), str(owner), binary.LittleEndian.AppendUint64(nil, uint64(micros)),
			binary.LittleEndian.AppendUint32(nil, uint32(len(f.vector))), vector,
		} {
			digest.Write(part)
		}
	}
	none := func(list string) string {
		return fmt.Sprintf(`{"collection":%q,"users":0,"faces":0,"sha256":"%x"}`, list, sha256.Sum256(append(str("imago-gallery 1"), str(list)...)))
	}
	fmt.Fprintf(file, `{"end":[{"collection":"users","users":%d,"faces":%d,"sha256":"%x"},%s,%s]}`+"\n",
		len(users), len(faces), digest.Sum(nil), none("blacklist"), none("whitelist"))
	return file.String()
}

// canonical returns an export as imago writes it.
func canonical(t testing.TB, file string) string {
	t.Helper()
	path := database(t, false)
	done(t, path, "import", write(t, file))
	return exported(t, path)
}

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	path := database(t, false)
	first := done(t, path, "import", write(t, generated(t, 300)))
	require.Contains(t, first.out, "users: users 300, faces 400: 400 added, 0 there already, 0 in conflict\n")
	again := done(t, path, "import", write(t, generated(t, 300)))
	require.Contains(t, again.out, "400 there already")

	target := filepath.Join(t.TempDir(), "gallery.jsonl")
	said := done(t, path, "export", target)
	require.Contains(t, said.out, "users: users 300, faces 400, sha256 ")
	file, err := os.ReadFile(target)
	require.NoError(t, err)
	info, err := os.Stat(target)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, string(file), exported(t, path))

	other := database(t, false)
	piped := command(t, other, nil, "import", "-")
	piped.Stdin = bytes.NewReader(file)
	require.Zero(t, finish(t, piped).code)
	require.Equal(t, string(file), exported(t, other), "byte for byte")
}

// A file that is damaged anywhere changes nothing.
func TestImportRefusesADamagedFile(t *testing.T) {
	t.Parallel()
	good := generated(t, 50)
	lines := strings.SplitAfter(good, "\n")
	for name, c := range map[string]struct{ file, says string }{
		"truncated":          {good[:len(good)/2], "truncated"},
		"without its end":    {strings.Join(lines[:len(lines)-2], ""), "truncated"},
		"another owner":      {strings.Replace(good, `"owner":"gateway"`, `"owner":"mallory"`, 1), "corrupt"},
		"a line left out":    {strings.Join(append(lines[:5:5], lines[6:]...), ""), "corrupt"},
		"a broken line":      {strings.Replace(good, `"userId":"user-000031"`, `"userId":"user-000031`, 1), "line 43"},
		"not an export":      {"hello\n", "line 1: invalid input: not an export"},
		"of another network": {strings.Replace(good, `"space":"sha256:`, `"space":"sha256:f`, 1), "embedding space mismatch"},
	} {
		path := database(t, true)
		r := attempt(t, path, "import", write(t, c.file))
		require.Equal(t, 1, r.code, name)
		require.Contains(t, r.err, c.says, name)
		require.Contains(t, exported(t, path), `"users":0`, name)
	}
}

func TestCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	path := database(t, true)
	typo := filepath.Join(t.TempDir(), "typo.db")
	file := write(t, generated(t, 1))
	other := []string{"IMAGO_MODELS_EMBEDDER=mobilefacenet"}
	for name, c := range map[string]struct {
		path string
		env  []string
		args []string
		code int
		says string
	}{
		"a store that is not there": {typo, nil, []string{"export"}, 2, typo},
		"RAM only":                  {"", nil, []string{"export"}, 2, "store.memory.path is empty"},
		"no file":                   {path, nil, []string{"import", typo}, 2, typo},
		"a folder":                  {path, nil, []string{"import", t.TempDir()}, 2, "not a regular file"},
		"no argument":               {path, nil, []string{"import"}, 2, "arg"},
		"another network":           {path, other, []string{"import", file}, 1, "mobilefacenet"},
		"a store of another":        {path, other, []string{"export"}, 1, "embedding space mismatch"},
		"only one side":             {path, nil, []string{"migrate", "--from", file}, 2, "--to"},
		"the same side twice":       {path, nil, []string{"migrate", "--from", "", "--to", ""}, 2, "required"},
	} {
		if name == "a store of another" {
			done(t, path, "import", file)
		}
		r := finish(t, command(t, c.path, c.env, c.args...))
		require.Equal(t, c.code, r.code, "%s: %s", name, r.err)
		require.Contains(t, r.err, c.says, name)
		require.Equal(t, 1, strings.Count(r.err, "\n"), "%s: one line:\n%s", name, r.err)
	}
	_, err := os.Stat(typo)
	require.ErrorIs(t, err, os.ErrNotExist, "nothing was made")
}

func TestImportReportsConflicts(t *testing.T) {
	t.Parallel()
	path := database(t, false)
	done(t, path, "import", write(t, generated(t, 20)))
	before := exported(t, path)
	other := strings.ReplaceAll(before, `"owner":"gateway"`, `"owner":"kiosk"`)
	second := database(t, false)
	// The checksum no longer fits, but the faces are read before it.
	require.Equal(t, 1, attempt(t, second, "import", write(t, other)).code)
	streamed := command(t, second, nil, "import", "-")
	streamed.Stdin = strings.NewReader(other)
	require.Equal(t, 1, finish(t, streamed).code)

	r := attempt(t, path, "import", write(t, exported(t, second)))
	require.Equal(t, 3, r.code, r.err)
	require.Contains(t, r.out, "users: users 20, faces 26: 0 added, 0 there already, 26 in conflict")
	require.Contains(t, r.err, `conflict in users: user "user-000000", face "f0": the target has a face of this ID with another owner`)
	require.Contains(t, r.err, "conflict in users: 21 more")
	require.Equal(t, before, exported(t, path))
}

// A gallery that is being served cannot be exported from beside.
func TestStoreInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "imago.db")
	start(t, "IMAGO_STORE_MEMORY_PATH="+path)
	r := attempt(t, path, "export")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "another imago is using it")
}

// yaml writes a configuration of a store.
func yaml(t testing.TB, store string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "imago.yaml")
	require.NoError(t, os.WriteFile(path, []byte("store:\n"+store), 0o600))
	return path
}

func memoryYAML(t testing.TB, path string) string {
	t.Helper()
	return yaml(t, "  driver: memory\n  memory:\n    path: "+path+"\n")
}

func migrateCommand(t testing.TB, from, to string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), imago(t), "migrate", "--from", from, "--to", to)
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

// A target with somebody else's faces is not the same as the source, and the
// command says so and what to do.
func TestMigrationIntoAnotherGallery(t *testing.T) {
	t.Parallel()
	source, target := database(t, false), database(t, false)
	done(t, source, "import", write(t, generated(t, 20)))
	done(t, target, "import", write(t, generated(t, 30)))
	r := finish(t, migrateCommand(t, memoryYAML(t, source), memoryYAML(t, target)))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "14 faces are in the target only: unenrol")
	require.Contains(t, r.out, "the target has 14 other faces")
}
