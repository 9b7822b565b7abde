package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// refusesToStart runs `imago serve` with the settings, requires that it fails,
// and returns what it says.
func refusesToStart(t *testing.T, env ...string) string {
	t.Helper()
	path := imago(t) // building it takes time of its own
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "serve")
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{
		"IMAGO_MODELS_DIR=" + fixture.Models(t),
		"IMAGO_ONNXRUNTIME_LIB=" + fixture.ONNXRuntime(t),
		"IMAGO_SERVER_LISTEN=127.0.0.1:0",
		"IMAGO_STORE_MEMORY_PATH=",
		"IMAGO_API_KEY=" + apiKey,
	}, env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, ctx.Err(), "imago started:\n%s", out)
	require.Error(t, err)
	return string(out)
}

// Whatever is wrong at the start is said in a sentence that names what to do.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for name, c := range map[string]struct {
		env  []string
		says []string
	}{
		"no key":                  {[]string{"IMAGO_API_KEY="}, []string{"IMAGO_API_KEY", "keys new"}},
		"no models":               {[]string{"IMAGO_MODELS_DIR=" + empty}, []string{"models pull", "IMAGO_MODELS_DIR"}},
		"unknown model":           {[]string{"IMAGO_MODELS_DETECTOR=nothing"}, []string{"nothing"}},
		"no runtime":              {[]string{"IMAGO_ONNXRUNTIME_LIB=" + filepath.Join(empty, "no.so")}, []string{"no.so", "IMAGO_ONNXRUNTIME_LIB"}},
		"bad setting":             {[]string{"IMAGO_SEARCH_THRESHOLD=101", "IMAGO_LOG_LEVEL=loud"}, []string{"search.threshold", "log.level"}},
		"no folder for the audit": {[]string{"IMAGO_AUDIT_PATH=" + filepath.Join(empty, "no", "audit.log")}, []string{"audit.path", "no such file"}},
		"a collector without http": {
			[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://"},
		},
		"an unknown protocol of traces": {
			[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=pigeon"}, []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
		},
		"an address in use":      {[]string{"IMAGO_SERVER_LISTEN=127.0.0.1:1"}, []string{"127.0.0.1:1"}},
		"config that is no file": {[]string{"IMAGO_CONFIG=" + filepath.Join(empty, "none.yaml")}, []string{"none.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "an address in use" && os.Getuid() == 0 {
				c.env = []string{"IMAGO_SERVER_LISTEN=203.0.113.1:80"} // an address that is not ours
				c.says = []string{"203.0.113.1:80"}
			}
			out := refusesToStart(t, c.env...)
			for _, s := range c.says {
				require.Contains(t, out, s)
			}
			require.NotContains(t, out, "goroutine ", "no stack trace")
			require.Less(t, strings.Count(out, "\n"), 8, "short:\n%s", out)
		})
	}
}

func TestDamagedModelIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	models := fixture.Models(t)
	for _, file := range []string{detectorFile, embedderFile} {
		data, err := os.ReadFile(filepath.Join(models, file))
		require.NoError(t, err)
		if file == detectorFile {
			data[len(data)/2] ^= 1
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), data, 0o600))
	}
	require.Contains(t, refusesToStart(t, "IMAGO_MODELS_DIR="+dir), "sha256")
}
