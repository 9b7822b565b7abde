package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/cmd/imago/cli"
)

func text(s string, err error) func(io.Writer) error {
	return func(w io.Writer) error {
		_, failed := io.WriteString(w, s)
		return errors.Join(failed, err)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gallery.jsonl")
	require.NoError(t, writeFile(path, text("one", nil)))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	full := errors.New("disk full")
	require.ErrorIs(t, writeFile(path, text("tw", full)), full)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "one", string(content), "what is there stays until the new one is complete")

	require.NoError(t, writeFile(path, text("two", nil)))
	content, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "two", string(content))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else stays behind")
}

// A device or a link is not replaced by a file.
func TestWriteFileLeavesOtherThingsAlone(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("elsewhere", link))
	for _, path := range []string{dir, link} {
		require.ErrorIs(t, writeFile(path, text("one", nil)), cli.ErrUsage)
	}
	require.Error(t, writeFile(filepath.Join(dir, "none", "x"), text("one", nil)))
}
