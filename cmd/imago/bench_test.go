package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// goodBenchFlags is the command line without flags.
func goodBenchFlags() benchFlags {
	return benchFlags{
		url: "127.0.0.1:8080", collection: "users", mix: "search=1", format: "text", threshold: -1,
		concurrency: []int{1}, duration: time.Second, timeout: time.Second,
	}
}

func TestBenchChecksItsFlags(t *testing.T) {
	t.Setenv("IMAGO_API_KEY", "a-key-of-sixteen-characters")
	empty := t.TempDir()
	for name, c := range map[string]struct {
		spoil func(*benchFlags)
		says  string
	}{
		"url":             {func(b *benchFlags) { b.url = "ftp://a" }, "--url"},
		"no CA file":      {func(b *benchFlags) { b.caFile = filepath.Join(empty, "ca.pem") }, "--ca-file"},
		"no key file":     {func(b *benchFlags) { b.keyFile = filepath.Join(empty, "key") }, "--key-file"},
		"no folder":       {func(b *benchFlags) { b.pictures = filepath.Join(empty, "pictures") }, "--pictures"},
		"no pictures":     {func(b *benchFlags) { b.pictures = empty }, "no JPEG or PNG"},
		"mix":             {func(b *benchFlags) { b.mix = "seek=1" }, "--mix"},
		"no concurrency":  {func(b *benchFlags) { b.concurrency = nil }, "--concurrency"},
		"bad concurrency": {func(b *benchFlags) { b.concurrency = []int{1, 0} }, "concurrency"},
		"bad rate":        {func(b *benchFlags) { b.rate = -1 }, "rate"},
		"duration":        {func(b *benchFlags) { b.duration = 0 }, "duration"},
		"none":            {func(*benchFlags) {}, ""},
	} {
		b := goodBenchFlags()
		c.spoil(&b)
		_, err := b.options(io.Discard)
		if err == nil {
			_, err = b.loads()
		}
		if c.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestBenchKey(t *testing.T) {
	b := goodBenchFlags()
	t.Setenv("IMAGO_API_KEY", "")
	_, err := b.key()
	require.ErrorContains(t, err, "IMAGO_API_KEY")
	t.Setenv("IMAGO_API_KEY", "from-the-environment")
	key, err := b.key()
	require.NoError(t, err)
	require.Equal(t, "from-the-environment", key)
	b.keyFile = filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(b.keyFile, []byte("from-the-file\n"), 0o600))
	key, err = b.key()
	require.NoError(t, err)
	require.Equal(t, "from-the-file", key)
}

func TestBenchReadsPicturesOnly(t *testing.T) {
	dir := t.TempDir()
	const first, second = "\xff\xd8first", "\x89PNGsecond"
	for name, content := range map[string]string{"b": second, "a.jfif": first, ".hidden.jpg": first, "notes.txt": "x", "x.jpg": "GIF89a"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	require.NoError(t, os.Symlink("b", filepath.Join(dir, "link.jpg")))
	var told strings.Builder
	pictures, err := readPictures(dir, &told)
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte(first), []byte(second)}, pictures)
	require.Equal(t, `left out: "link.jpg": symbolic links are not followed
left out: "notes.txt": unsupported image format: only JPEG and PNG are supported
left out: "x.jpg": unsupported image format: only JPEG and PNG are supported
`, told.String())
	for i := range 2 * maxShownRefusals {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("c%02d.gif", i)), []byte("GIF89a"), 0o600))
	}
	told.Reset()
	_, err = readPictures(dir, &told)
	require.NoError(t, err)
	require.Equal(t, maxShownRefusals+1, strings.Count(told.String(), "\n"))
	require.Contains(t, told.String(), fmt.Sprintf("left out: %d more\n", maxShownRefusals+3))
}
