package picturefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"imago/core/picturefile"
	"imago/ports"
)

func TestAgainst(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.jpg", "b.JPEG", "c.Png", "d.gif", "jpg", "target"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.Symlink("target", filepath.Join(dir, "e.png")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "f.png"), 0o700))
	const noPicture = "not a .jpg, .jpeg or .png file"
	want := map[string]string{
		"a.jpg": "", "b.JPEG": "", "c.Png": "", "d.gif": noPicture, "jpg": noPicture, "target": noPicture,
		"e.png": "symbolic links are not followed", "f.png": "not a regular file",
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	got := map[string]string{}
	for _, e := range entries {
		got[e.Name()] = picturefile.Against(e)
	}
	require.Equal(t, want, got)
}

func TestHidden(t *testing.T) {
	require.True(t, picturefile.Hidden(".DS_Store"))
	require.False(t, picturefile.Hidden("a.png"))
}

func TestRead(t *testing.T) {
	fsys := fstest.MapFS{"a.png": {Data: []byte("12345")}}
	data, err := picturefile.Read(fsys, "a.png", 5)
	require.NoError(t, err)
	require.Equal(t, "12345", string(data))

	var refusal *ports.Refusal
	_, err = picturefile.Read(fsys, "a.png", 4)
	require.ErrorIs(t, err, ports.ErrTooLarge)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, []string{"the file is larger than 4 bytes"}, refusal.Reasons)

	_, err = picturefile.Read(fsys, "secret/b.png", 4)
	require.ErrorIs(t, err, ports.ErrInvalid)
	require.ErrorAs(t, err, &refusal)
	require.False(t, strings.Contains(refusal.Reasons[0], "secret"), "the path is left out")
}

func TestUnreadable(t *testing.T) {
	err := &fs.PathError{Op: "open", Path: "/secret", Err: errors.New("permission denied")}
	require.Equal(t, "cannot be read: permission denied", picturefile.Unreadable(err))
}
