package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
)

func read(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{fixture.Root(t)}, elem...)...))
	require.NoError(t, err)
	return string(data)
}

// The settings that the image sets in its environment load.
func TestImageEnvironment(t *testing.T) {
	assignment := regexp.MustCompile(`(?m)\b(IMAGO_\w+)=(\S+)`)
	var environ []string
	for _, m := range assignment.FindAllStringSubmatch(read(t, "docker", "Dockerfile"), -1) {
		environ = append(environ, m[1]+"="+m[2])
	}
	require.GreaterOrEqual(t, len(environ), 4)
	cfg, err := config.Load("", environ)
	require.NoError(t, err)
	require.Contains(t, read(t, "docker", "Dockerfile"), "COPY --from=build /out/models "+cfg.Models.Dir+"\n", "the models are in the image")
}

// The notice in the image is about the models that are in it, and nothing is left to be
// pulled before imago can start.
func TestModelsAreInTheImage(t *testing.T) {
	notice, models := read(t, "docker", "NOTICE.models"), config.Default().Models
	for _, name := range []string{models.Detector, models.Embedder} {
		m, err := config.LoadManifest(config.BuiltinModels, name)
		require.NoError(t, err)
		require.Contains(t, notice, m.File)
		require.Contains(t, notice, m.SHA256)
		require.Contains(t, notice, m.Licence)
	}
	files, err := filepath.Glob(filepath.Join(fixture.Root(t), "docker", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.NotContains(t, read(t, "docker", filepath.Base(file)), "pull]", file)
		require.NotContains(t, read(t, "docker", filepath.Base(file)), "/models", file)
	}
}

// The binding works with exactly one version of ONNX Runtime.
func TestRuntimeVersionMatchesTheBinding(t *testing.T) {
	binding := regexp.MustCompile(`yalue/onnxruntime_go v(\S+)`).FindStringSubmatch(read(t, "go.mod"))
	installed := regexp.MustCompile(`ORT_VERSION := (\S+)`).FindStringSubmatch(read(t, "Makefile"))
	require.NotNil(t, binding)
	require.NotNil(t, installed)
	require.Equal(t, binding[1], installed[1])
}
