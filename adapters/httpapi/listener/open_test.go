package listener

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func openSocket(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := Open(t.Context(), "unix://"+path, "0660")
	require.NoError(t, err)
	return l
}

// leaveSocket leaves the socket of a killed process behind.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
}

func TestInvalidSocketMode(t *testing.T) {
	_, err := Open(t.Context(), "unix://"+filepath.Join(t.TempDir(), "imago.sock"), "rw")
	require.EqualError(t, err, `invalid socket mode "rw"`)
}

// The mode is exact, whatever the umask takes.
func TestUnixSocketMode(t *testing.T) {
	for _, mode := range []string{"0600", "0666", "660"} {
		path := filepath.Join(t.TempDir(), "imago.sock")
		l, err := Open(t.Context(), "unix://"+path, mode)
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		info, err := os.Stat(path)
		require.NoError(t, err)
		want, err := strconv.ParseUint(mode, 8, 32)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(want), info.Mode().Perm())
	}
}

// A socket that has become somebody else's is not removed at the end.
func TestReplacedUnixSocketIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imago.sock")
	l := openSocket(t, path)
	require.NoError(t, os.Remove(path))
	other, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer func() { _ = other.Close() }()
	require.NoError(t, l.Close())
	require.FileExists(t, path)
}

// Of many processes that find the remnant of a killed one, one gets the address.
func TestStaleUnixSocketHasOneHeir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imago.sock")
	leaveSocket(t, path)
	heirs := make(chan net.Listener, 16)
	var wait sync.WaitGroup
	for range cap(heirs) {
		wait.Go(func() {
			if l, err := Open(context.Background(), "unix://"+path, "0660"); err == nil {
				heirs <- l
			}
		})
	}
	wait.Wait()
	require.Len(t, heirs, 1)
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, (<-heirs).Close())
}

func TestStaleUnixSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imago.sock")
	leaveSocket(t, path)
	require.FileExists(t, path)
	require.NoError(t, openSocket(t, path).Close())
	require.NoFileExists(t, path)
}

func TestFileInPlaceOfTheSocketIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(path, []byte("data"), 0o600))
	_, err := Open(t.Context(), "unix://"+path, "0660")
	require.ErrorContains(t, err, "not a socket")
	require.FileExists(t, path)
}
