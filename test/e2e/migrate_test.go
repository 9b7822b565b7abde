package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/servers"
)

// runImago runs a command to its end and returns what it printed.
func runImago(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), imago(t), args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"IMAGO_MODELS_DIR=" + fixture.Models(t), "IMAGO_ONNXRUNTIME_LIB=" + fixture.ONNXRuntime(t),
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "imago %s:\n%s", strings.Join(args, " "), out)
	return string(out)
}

// A gallery goes around all backends and comes back record for record, with the chips of
// the collection that keeps them.
func TestMigrateAroundTheBackends(t *testing.T) {
	t.Parallel()
	pg, milvus := servers.Postgres(t), servers.OwnMilvus(t, servers.MilvusOptions{})
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "chips.key"), []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	file := func(name, store string) string {
		path := filepath.Join(dir, name+".yaml")
		require.NoError(t, os.WriteFile(path, []byte("inventory: {keep_chips: true}\nchips: {key_file: chips.key}\nstore:\n"+store), 0o600))
		return path
	}
	memory := func(name string) string {
		return file(name, fmt.Sprintf("  driver: memory\n  memory: {path: %q}\n", filepath.Join(dir, name+".db")))
	}
	stops := []string{
		memory("start"),
		file("pgvector", fmt.Sprintf("  driver: pgvector\n  pgvector: {dsn: %q}\n", pg.DSN())),
		file("milvus", fmt.Sprintf("  driver: milvus\n  milvus: {address: %q}\n", milvus.Address())),
		memory("end"),
	}
	people := presidents(t)
	runImago(t, "enroll", people, "--config", stops[0])
	runImago(t, "enroll", people, "--config", stops[0], "--collection", "whitelist")
	for i := 1; i < len(stops); i++ {
		runImago(t, "migrate", "--from", stops[i-1], "--to", stops[i])
		runImago(t, "migrate", "--from", stops[i-1], "--to", stops[i]) // once more changes nothing
	}
	before, after := records(t, stops[0]), records(t, stops[len(stops)-1])
	require.Len(t, before, 8)
	require.Equal(t, before, after)
	require.Equal(t, 4, strings.Count(strings.Join(after, ""), `"chip":`))
}

// records exports a gallery with its chips and returns the lines of its records, sorted.
func records(t *testing.T, config string) []string {
	t.Helper()
	path := config + ".jsonl"
	runImago(t, "export", "--chips", "--config", config, path)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var lines []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, `"vector"`) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}
