package regularfile

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// others are things that are no regular files, with what they are called.
func others(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	pipe, socket, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket"), filepath.Join(dir, "link")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.Symlink(pipe, link))
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return map[string]string{pipe: "pipe", link: "pipe", socket: "socket", dir: "folder", "/dev/zero": "device"}
}

// Whatever is no regular file is refused at once, and is not touched.
func TestOthersAreRefused(t *testing.T) {
	for path, kind := range others(t) {
		_, err := Open(path)
		require.ErrorIs(t, err, ErrNotRegular, path)
		require.ErrorContains(t, err, kind)
		_, err = OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		require.ErrorIs(t, err, ErrNotRegular, path)
		_, err = Read(path, 1)
		require.ErrorIs(t, err, ErrNotRegular, path)
		_, err = FS(filepath.Dir(path)).Open(filepath.Base(path))
		require.ErrorIs(t, err, ErrNotRegular, path)
		if kind != "folder" {
			_, err = OpenRoot(path)
			require.ErrorContains(t, err, "not a folder")
		}
	}
}

func TestRegularFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	_, err := Open(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = FS(dir).Open("a")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = OpenRoot(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, text := range []string{"12345", "6789"} { // the second is shorter
		file, err := OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		require.NoError(t, err)
		_, err = file.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		data, err := Read(path, 5)
		require.NoError(t, err)
		require.Equal(t, text, string(data))
	}
	_, err = Read(path, 3)
	require.ErrorContains(t, err, "larger than 3 bytes")
	root, err := OpenRoot(dir)
	require.NoError(t, err)
	require.NoError(t, root.Close())
	data, err := fs.ReadFile(FS(dir), "a")
	require.NoError(t, err)
	require.Equal(t, "6789", string(data))
	entries, err := fs.ReadDir(FS(dir), ".")
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Error(t, fstest.TestFS(FS(dir), "b"))
}
