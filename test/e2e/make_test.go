package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// The variables of tests and benchmarks, which pages set before `make test` and
// `make bench-peers`, do not reach the imago that brings the models: it refuses
// variables that it does not know.
func TestMakeModelsBesideBenchmarks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(fixture.Root(t), "Makefile"), filepath.Join(dir, "Makefile")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.Symlink(imago(t), filepath.Join(dir, "bin", "imago")))
	cmd := exec.CommandContext(t.Context(), "make", "--no-print-directory", "--assume-old=build", "models")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "IMAGO_MODELS_DIR="+fixture.Models(t),
		"IMAGO_BENCH_FACES=1000", "IMAGO_TORTURE_REQUESTS=1", "IMAGO_REQUIRE=pgvector", "IMAGO_UPDATE_SCREENSHOTS=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}
