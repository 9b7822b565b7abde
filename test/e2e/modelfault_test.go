package e2e

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// The files of the default models.
const detectorFile, embedderFile = "face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx"

// modelFolder is a folder with copies of the default models.
func modelFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{detectorFile, embedderFile} {
		data, err := os.ReadFile(filepath.Join(fixture.Models(t), name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

// rewrite replaces a file by what change makes of it.
func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(data), 0o600))
}

// requireRefusal checks that imago says at last what is wrong and what
// to do, and did not crash.
func requireRefusal(t *testing.T, out string, says ...string) {
	t.Helper()
	_, sentence, ok := strings.Cut("\n"+out, "\nimago: ")
	require.True(t, ok, out)
	for _, s := range says {
		require.Contains(t, sentence, s)
	}
	for _, crash := range []string{"goroutine ", "SIGSEGV", "terminate called"} {
		require.NotContains(t, out, crash)
	}
}

// A model file that is not what its manifest says is refused before ONNX Runtime
// sees it, whatever has happened to it.
func TestModelFileFaults(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(6, 7))
	for name, c := range map[string]struct {
		file   string
		change func([]byte) []byte
		says   []string
	}{
		"bytes are flipped": {embedderFile, func(b []byte) []byte {
			for range 1 + random.IntN(20) {
				b[random.IntN(len(b))] ^= byte(1 + random.IntN(255))
			}
			return b
		}, []string{"opencv-sface", "SHA-256", "models pull"}},
		"the end is missing": {detectorFile, func(b []byte) []byte { return b[:random.IntN(len(b))] }, []string{"opencv-yunet", "bytes", "models pull"}},
		"it is empty":        {detectorFile, func([]byte) []byte { return nil }, []string{"opencv-yunet", "bytes", "models pull"}},
		"it is longer":       {detectorFile, func(b []byte) []byte { return append(b, 0) }, []string{"opencv-yunet", "bytes", "models pull"}},
		"it is a page of an error": {detectorFile, func(b []byte) []byte {
			return append([]byte("<html>404</html>"), b[16:]...)
		}, []string{"opencv-yunet", "SHA-256", "models pull"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := modelFolder(t)
			rewrite(t, filepath.Join(dir, c.file), c.change)
			requireRefusal(t, refusesToStart(t, "IMAGO_MODELS_DIR="+dir), c.says...)
		})
	}
	t.Run("it is missing", func(t *testing.T) {
		dir := modelFolder(t)
		require.NoError(t, os.Remove(filepath.Join(dir, detectorFile)))
		requireRefusal(t, refusesToStart(t, "IMAGO_MODELS_DIR="+dir), "opencv-yunet", "models pull")
	})
	t.Run("it is a folder", func(t *testing.T) {
		dir := modelFolder(t)
		require.NoError(t, os.Remove(filepath.Join(dir, detectorFile)))
		require.NoError(t, os.Mkdir(filepath.Join(dir, detectorFile), 0o700))
		requireRefusal(t, refusesToStart(t, "IMAGO_MODELS_DIR="+dir), "opencv-yunet")
	})
}

// A manifest that does not fit its file, or names the one for the other, is refused
// in words, also where the digest is right.
func TestWrongModels(t *testing.T) {
	t.Parallel()
	sum := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	read := func(dir, name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return b
	}
	manifest := func(t *testing.T, dir, name string) string {
		b, err := os.ReadFile(filepath.Join(fixture.Root(t), "config", "models", name+".yaml"))
		require.NoError(t, err)
		return string(b)
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string) (env []string)
		says    []string
	}{
		"an embedder for the detector": {func(t *testing.T, dir string) []string {
			return []string{"IMAGO_MODELS_DETECTOR=opencv-sface"}
		}, []string{"opencv-sface", "models.detector"}},
		"a detector for the embedder": {func(t *testing.T, dir string) []string {
			return []string{"IMAGO_MODELS_EMBEDDER=opencv-yunet"}
		}, []string{"opencv-yunet", "models.embedder"}},
		"the embedder's file under the detector's manifest": {func(t *testing.T, dir string) []string {
			other := read(dir, embedderFile)
			text := manifest(t, dir, "opencv-yunet")
			own := read(dir, detectorFile)
			text = strings.ReplaceAll(text, sum(own), sum(other))
			text = strings.ReplaceAll(text, fmt.Sprintf("size: %d", len(own)), fmt.Sprintf("size: %d", len(other)))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "opencv-yunet.yaml"), []byte(text), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, detectorFile), other, 0o600))
			return nil
		}, []string{"model opencv-yunet"}},
		"another digest in the manifest": {func(t *testing.T, dir string) []string {
			text := strings.ReplaceAll(manifest(t, dir, "opencv-yunet"), sum(read(dir, detectorFile)), strings.Repeat("0f", 32))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "opencv-yunet.yaml"), []byte(text), 0o600))
			return nil
		}, []string{"opencv-yunet", "SHA-256"}},
		"a manifest of garbage": {func(t *testing.T, dir string) []string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "opencv-yunet.yaml"), []byte("\x00garbage: ["), 0o600))
			return nil
		}, []string{"opencv-yunet.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := modelFolder(t)
			env := c.prepare(t, dir)
			requireRefusal(t, refusesToStart(t, append(env, "IMAGO_MODELS_DIR="+dir)...), c.says...)
		})
	}
}

// A gallery of another embedder is refused with both models and with what to do about it.
func TestGalleryOfAnotherModel(t *testing.T) {
	t.Parallel()
	store := "IMAGO_STORE_MEMORY_PATH=" + filepath.Join(t.TempDir(), "imago.db")
	s := start(t, store)
	require.Equal(t, 200, s.enrol("somebody", portrait(t)).status)
	s.stop()

	dir := modelFolder(t)
	manifest, err := os.ReadFile(filepath.Join(fixture.Root(t), "config", "models", "opencv-sface.yaml"))
	require.NoError(t, err)
	text := strings.Replace(string(manifest), "name: opencv-sface\n", "name: own\n", 1)
	text = strings.Replace(text, "scale: 1\n", "scale: 0.5\n", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "own.yaml"), []byte(text), 0o600))
	requireRefusal(t, refusesToStart(t, store, "IMAGO_MODELS_DIR="+dir, "IMAGO_MODELS_EMBEDDER=own"),
		"holds vectors of opencv-sface (", "configured for own (", "set models.embedder to opencv-sface and models.detector",
		"set store.memory.path to a new file and enrol again")
	s = start(t, store)
	require.Len(t, s.search(portrait(t)).matches(t), 1, "it is as it was")
}
