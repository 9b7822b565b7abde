package sqlite

import (
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode().Perm()
}

// The files are the owner's alone whatever the umask lets through.
func TestFileModes(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077} {
		before := syscall.Umask(mask)
		t.Cleanup(func() { syscall.Umask(before) })
		dir := t.TempDir()
		path := filepath.Join(dir, "data", "deep", "imago.db")
		s := started(t, path, testSpace(2))
		require.NoError(t, s.add(record("ada", []float32{1, 0})))
		for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
			require.Equal(t, fileMode, modeOf(t, path+suffix), "umask %o, %s", mask, suffix)
		}
		require.Equal(t, dirMode, modeOf(t, filepath.Dir(path)))
		require.Equal(t, dirMode, modeOf(t, filepath.Join(dir, "data")))
		syscall.Umask(before)
	}
}

// A folder that exists keeps its mode, a file that others may read does not.
func TestFileModeTightened(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "imago.db")
	closeStore(t, started(t, path, testSpace(2)))
	require.NoError(t, os.Chmod(path, 0o644))
	started(t, path, testSpace(2))
	require.Equal(t, fileMode, modeOf(t, path))
	require.Equal(t, fs.FileMode(0o755), modeOf(t, dir))
}

func TestFileNames(t *testing.T) {
	for _, name := range []string{"with blank.db", "100%?&#;=.db", "%41.db", "ünïcode.db", ":memory:", "file:x?mode=memory", "a'b\"c"} {
		path := filepath.Join(t.TempDir(), name)
		s := started(t, path, testSpace(2))
		require.NoError(t, s.add(record("ada", []float32{1, 0})), name)
		require.FileExists(t, path)
		require.Len(t, contents(t, reopened(t, s)), 1, name)
	}
}

func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	s := started(t, filepath.Join("data", "imago.db"), testSpace(2))
	require.NoError(t, s.add(record("ada", []float32{1, 0})))
	t.Chdir(t.TempDir())
	require.NoError(t, s.file.CheckPresent())
	require.NoError(t, s.add(record("bob", []float32{1, 0})))
}

// One file serves one store, by whichever name it is reached.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "imago.db")
	s := started(t, path, testSpace(2))
	require.NoError(t, os.Symlink(path, filepath.Join(dir, "file.db")))
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "folder")))
	for _, other := range []string{path, filepath.Join(dir, "file.db"), filepath.Join(dir, "folder", "imago.db")} {
		err := newStore(other, testSpace(2)).Start(t.Context())
		require.ErrorContains(t, err, other)
		require.ErrorContains(t, err, "each file serves one imago")
	}
	require.NoError(t, s.add(record("ada", []float32{1, 0})))
	closeStore(t, s)
	require.Len(t, contents(t, started(t, filepath.Join(dir, "file.db"), testSpace(2))), 1)
}

// foreign makes the database of another program.
func foreign(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), statements)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// What imago cannot use is refused in words, stays as it is, and is not locked
// afterwards.
func TestRefusedFiles(t *testing.T) {
	for name, test := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"text": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("name,vector\n", 1000)), 0o600))
		}, "not a SQLite database"},
		"another program's": {func(t *testing.T, path string) {
			foreign(t, path, "CREATE TABLE face (id INTEGER)")
		}, "another application"},
		"another program's, marked": {func(t *testing.T, path string) {
			foreign(t, path, "PRAGMA application_id = 42; CREATE TABLE x (id INTEGER)")
		}, "another application"},
		"a newer imago's": {func(t *testing.T, path string) {
			closeStore(t, started(t, path, testSpace(2)))
			foreign(t, path, "PRAGMA user_version = 10; CREATE TABLE novelty (id INTEGER)")
		}, "newer imago (file version 10"},
		"no imago's version": {func(t *testing.T, path string) {
			closeStore(t, started(t, path, testSpace(2)))
			foreign(t, path, "PRAGMA user_version = 0")
		}, "unknown file version 0"},
		"without a space": {func(t *testing.T, path string) {
			closeStore(t, started(t, path, testSpace(2)))
			foreign(t, path, "DELETE FROM meta")
		}, "space cannot be read"},
		"without a table": {func(t *testing.T, path string) {
			closeStore(t, started(t, path, testSpace(2)))
			foreign(t, path, "DROP TABLE face")
		}, "no such table: face"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "imago.db")
			test.make(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			for range 2 {
				err = newStore(path, testSpace(2)).Start(t.Context())
				require.ErrorContains(t, err, path+": ")
				require.ErrorContains(t, err, test.want)
			}
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after, "the file was changed")
		})
	}
}

func TestRefusedFolder(t *testing.T) {
	require.ErrorContains(t, newStore(t.TempDir(), testSpace(2)).Start(t.Context()), "not a regular file")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, newStore(filepath.Join(file, "imago.db"), testSpace(2)).Start(t.Context()), "not a directory")
}

// A file without bytes is what a crash in the first moment leaves.
func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imago.db")
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	s := started(t, path, testSpace(2))
	require.NoError(t, s.add(record("ada", []float32{1, 0})))
	require.Equal(t, fileMode, modeOf(t, path))
}
