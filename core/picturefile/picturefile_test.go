package picturefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"imago/core/picturefile"
	"imago/ports"
)

const noPicture = "unsupported image format: only JPEG and PNG are supported"

// Content decides, whatever a file is called.
func TestProblem(t *testing.T) {
	dir := t.TempDir()
	const jpeg, png = "\xff\xd8\xff\xe0", "\x89PNG\r\n\x1a\n"
	for name, content := range map[string]string{
		"a.jpg": jpeg, "b.JPEG": png, "c.Png": jpeg, "face.jfif": jpeg, "face.jpe": jpeg, "none": png, "x.gif": jpeg, "short": "\xff\xd8",
		"d.gif": "GIF89a", "e.jpg": "RIFF....WEBP", "g.png": "", "h": "\xff", "i.png": "\x89PN", "notes.txt": "text",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	require.NoError(t, os.Symlink("none", filepath.Join(dir, "j.png")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "f.png"), 0o700))
	want := map[string]string{
		"a.jpg": "", "b.JPEG": "", "c.Png": "", "face.jfif": "", "face.jpe": "", "none": "", "x.gif": "", "short": "",
		"d.gif": noPicture, "e.jpg": noPicture, "g.png": "the provided image is empty", "h": noPicture, "i.png": noPicture, "notes.txt": noPicture,
		"j.png": "symbolic links are not followed", "f.png": "not a regular file",
	}
	entries, err := picturefile.List(os.DirFS(dir), ".")
	require.NoError(t, err)
	got := map[string]string{}
	for _, e := range entries {
		require.Equal(t, e.Name(), e.Path)
		got[e.Name()] = e.Problem()
		require.NoError(t, os.Remove(filepath.Join(dir, e.Name())))
	}
	require.Equal(t, want, got)
	gone := entries[slices.IndexFunc(entries, func(e picturefile.Entry) bool { return e.Name() == "none" })].Problem()
	require.Contains(t, gone, "cannot be read: ")
	require.NotContains(t, gone, dir)
}

func TestCutExtension(t *testing.T) {
	for name, want := range map[string]string{
		"a.jpg": "a", "a.JPEG": "a", "a.jfif": "a", "a.jpe": "a", "a.webp": "a", "a.b.png": "a.b", "a.jpg.jpg": "a.jpg", ".jpg": "",
	} {
		got, ok := picturefile.CutExtension(name)
		require.True(t, ok, name)
		require.Equal(t, want, got)
	}
	for _, name := range []string{"john.smith", "john", "a.", "README.md", "a.jpg "} {
		got, ok := picturefile.CutExtension(name)
		require.False(t, ok, name)
		require.Equal(t, name, got)
	}
}

func TestListLeavesOutHiddenFiles(t *testing.T) {
	entries, err := picturefile.List(fstest.MapFS{"d/.DS_Store": {}, "d/a.png": {}, "d/.hidden/a.png": {}}, "d")
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "d/a.png", entries[0].Path)
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

func TestReadProblem(t *testing.T) {
	err := &fs.PathError{Op: "open", Path: "/secret", Err: errors.New("permission denied")}
	require.Equal(t, "cannot be read: permission denied", picturefile.ReadProblem(err))
}
