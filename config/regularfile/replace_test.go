package regularfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config/regularfile"
)

// A file is replaced completely or not at all, and nothing is left beside it.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.json")
	write := func(text string, failure error) error {
		return regularfile.Replace(path, 0o640, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, failure)
		})
	}
	require.NoError(t, write("one", nil))
	full := errors.New("disk full")
	require.ErrorIs(t, write("tw", full), full)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "one", string(content))
	require.NoError(t, write("three", nil))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
	require.Equal(t, int64(5), info.Size())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.ErrorIs(t, regularfile.Replace(filepath.Join(dir, "no", "folder"), 0o600, nil), os.ErrNotExist)
}
