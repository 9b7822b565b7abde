package audit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
)

// After a failed sync, a later one that succeeds says nothing about the lines
// before: they stay lost, and those after it are sound.
func TestFailedSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := New(config.Audit{Path: path, Sync: true})
	require.NoError(t, l.Start(t.Context()))
	errDisk := errors.New("input/output error")

	first, err := l.append([]byte("{}\n"))
	require.NoError(t, err)
	l.settle(first, errDisk)
	second, err := l.append([]byte("{}\n"))
	require.NoError(t, err)
	require.ErrorIs(t, l.sync(first), errDisk)
	require.NoError(t, l.sync(second))
	require.ErrorIs(t, l.sync(first), errDisk)
	require.NoError(t, l.Close(t.Context()))
	_, err = os.Stat(path)
	require.NoError(t, err)
}

// A line that a full disk cut short is followed by a line of its own.
func TestShortWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := New(config.Audit{Path: path})
	require.NoError(t, l.Start(t.Context()))
	_, err := l.out.WriteString(`{"cut`)
	require.NoError(t, err)
	l.torn = true
	_, err = l.append([]byte("{}\n"))
	require.NoError(t, err)
	_, err = l.append([]byte("{}\n"))
	require.NoError(t, err)
	require.NoError(t, l.Close(t.Context()))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "{\"cut\n{}\n{}\n", string(data))
}
