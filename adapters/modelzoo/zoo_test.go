package modelzoo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// network file of the tests: longer than a buffer and no multiple of one.
var content = []byte(strings.Repeat("0123456789abcdef", 10_000) + "end")

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// manifest is a detector whose file has the given content.
func manifest(name string, data []byte, urls ...string) []byte {
	return fmt.Appendf(nil, `
name: %s
kind: detector
file: %s.onnx
sha256: %s
size: %d
licence: MIT
training_data: none
sources: %s
input: {colour: BGR, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], stride: 32}
output: {contract: yunet, iou: 0.3}
`, name, name, digest(data), len(data), sources(urls...))
}

// sources lists addresses in a manifest.
func sources(urls ...string) string {
	list := "["
	for _, url := range urls {
		list += "{url: \"" + url + "\"}, "
	}
	return list + "]"
}

func builtin(urls ...string) fstest.MapFS {
	return fstest.MapFS{"net.yaml": {Data: manifest("net", content, urls...)}}
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
}

func TestFindInFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "net.onnx", content)
	m, fsys, err := New(dir, builtin()).Find("net")
	require.NoError(t, err)
	require.Equal(t, "net", m.Name)
	got, err := fsys.Open(m.File)
	require.NoError(t, err)
	require.NoError(t, got.Close())
}

func TestFindInsideBinary(t *testing.T) {
	inside := builtin()
	inside["net.onnx"] = &fstest.MapFile{Data: content}
	zoo := New(filepath.Join(t.TempDir(), "absent"), inside)
	_, fsys, err := zoo.Find("net")
	require.NoError(t, err)
	require.Equal(t, inside, fsys)
	require.NoError(t, zoo.Verify(t.Context(), "net"))
	require.NoError(t, zoo.Pull(t.Context(), "net", nil), "nothing to do")
}

func TestFolderWins(t *testing.T) {
	dir, inside, other := t.TempDir(), builtin(), []byte("other")
	inside["net.onnx"] = &fstest.MapFile{Data: content}
	write(t, dir, "net.yaml", manifest("net", other))
	write(t, dir, "net.onnx", other)
	zoo := New(dir, inside)
	m, _, err := zoo.Find("net")
	require.NoError(t, err)
	require.Equal(t, digest(other), m.SHA256)
	require.NoError(t, zoo.Verify(t.Context(), "net"))
}

func TestFindMissingFile(t *testing.T) {
	dir := t.TempDir()
	_, _, err := New(dir, builtin("https://example.org/net.onnx")).Find("net")
	require.ErrorIs(t, err, ports.ErrNotFound)
	require.EqualError(t, err, "not found: net.onnx, the file of model net, is not in "+dir+
		`; run "imago models pull net" or set IMAGO_MODELS_DIR to the folder that holds it`)
	_, _, err = New(dir, builtin()).Find("net")
	require.ErrorContains(t, err, "names no source, so put the file there")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "net.onnx"), 0o700))
	_, _, err = New(dir, builtin()).Find("net")
	require.ErrorIs(t, err, ports.ErrNotFound, "a folder is no file")
}

func TestFindUnknownModel(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "own.yaml", manifest("own", content))
	_, _, err := New(dir, builtin()).Find("nett")
	require.ErrorIs(t, err, ports.ErrNotFound)
	require.ErrorContains(t, err, "there is no model nett; the models are net, own; a manifest nett.yaml in "+dir+" adds one")
}

func TestFindBrokenManifest(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "net.yaml", []byte("name: net"))
	_, _, err := New(dir, builtin()).Find("net")
	require.ErrorIs(t, err, ports.ErrInvalid, "the built-in one does not step in")
	require.ErrorContains(t, err, "licence: is required")
	_, _, err = New(dir, builtin()).Find("../net")
	require.ErrorIs(t, err, ports.ErrInvalid)
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "broken.yaml", []byte("name: 1"))
	write(t, dir, "own.yaml", manifest("own", content))
	write(t, dir, "own.onnx", []byte("not verified"))
	write(t, dir, "README.md", nil)
	write(t, dir, ".hidden.yaml", nil)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700))
	entries, err := New(dir, builtin()).List()
	require.NoError(t, err)
	require.Len(t, entries, 3)

	require.Equal(t, "broken", entries[0].Name)
	require.ErrorIs(t, entries[0].Err, ports.ErrInvalid)
	require.Zero(t, entries[0].Manifest)

	require.Equal(t, "net", entries[1].Name)
	require.NoError(t, entries[1].Err)
	require.False(t, entries[1].Custom)
	require.False(t, entries[1].Present)

	require.Equal(t, "own", entries[2].Name)
	require.NoError(t, entries[2].Err)
	require.True(t, entries[2].Custom)
	require.True(t, entries[2].Present)
	require.Equal(t, config.KindDetector, entries[2].Manifest.Kind)
}

func TestListWithoutFolder(t *testing.T) {
	entries, err := New(filepath.Join(t.TempDir(), "absent"), builtin()).List()
	require.NoError(t, err)
	require.Len(t, entries, 1)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = New(file, builtin()).List()
	require.ErrorContains(t, err, "modelzoo: ")
}

func TestVerify(t *testing.T) {
	flipped := append([]byte(nil), content...)
	flipped[len(flipped)-1] ^= 1
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"right", content, ""},
		{"short", content[1:], "160002 bytes, but the manifest says 160003"},
		{"long", append([]byte("x"), content...), "160004 bytes, but the manifest says 160003"},
		{"flipped", flipped, "SHA-256 " + digest(flipped)},
		{"empty", nil, "0 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "net.onnx", test.data)
			err := New(dir, builtin()).Verify(t.Context(), "net")
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ports.ErrInvalid)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestVerifyMissing(t *testing.T) {
	require.ErrorIs(t, New(t.TempDir(), builtin()).Verify(t.Context(), "net"), ports.ErrNotFound)
}

func TestVerifyEndsWithContext(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "net.onnx", content)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, New(dir, builtin()).Verify(ctx, "net"), context.Canceled)
}

// The development models are the ones that the shipped manifests describe.
func TestDevelopmentModels(t *testing.T) {
	zoo := New(fixture.Models(t), config.BuiltinModels)
	for _, name := range []string{"opencv-yunet", "opencv-sface"} {
		require.NoError(t, zoo.Verify(t.Context(), name), name)
	}
}
