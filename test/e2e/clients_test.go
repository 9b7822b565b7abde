package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// Clients that the registries' generators make of the description that imago serves do
// what a program needs, and a call that names no threshold leaves a list its own.
func TestGeneratedClients(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	settings, description := filepath.Join(folder, "imago.yaml"), filepath.Join(folder, "openapi.yaml")
	require.NoError(t, os.WriteFile(settings, []byte("collections:\n  - name: lax\n    threshold: 0.001\n  - name: strict-1\n    threshold: 100\n"), 0o600))
	var want map[string]any
	require.NoError(t, json.Unmarshal([]byte(`{
		"enrol": 200, "enrol another": 200, "enrol again": ["provided userId already exists"], "add a face": 200,
		"enrol in lax": 200, "enrol in strict-1": 200,
		"search": ["alice"], "search lax for another": ["alice"], "search strict-1": 404, "codes": ["no_match"], "search with a threshold and a limit": ["alice"],
		"verify": [true, true, 80, false, 0.5], "verify nobody": "Not Found",
		"search several": [["users", 80, 1, "strict-1", 100, 0, "lax", 0.001, 1], true, 1, true, "alice"],
		"read": ["alice", 2, false], "read in a list": "alice", "read nobody": 404,
		"pages": [["alice"], ["bob"], true], "pages of lists": [["alice"], ["alice"]],
		"detect": [1, 0, 5, [], []], "calibration": 0.001, "collections": ["users", "lax", "strict-1"],
		"replace": 200, "expiry": [true, true], "explain": [true, 1, [], 0], "remove a face": [200, 404, 404],
		"unenrol": 200, "unenrol again": "Not Found", "unenrol from lists": [200, 200]
	}`), &want))
	for language, build := range map[string]func(t *testing.T, source, folder, description string) *exec.Cmd{"Go": goClient, "Python": pythonClient} {
		t.Run(language, func(t *testing.T) {
			s := start(t, "IMAGO_CONFIG="+settings, "IMAGO_INVENTORY_SAME_PERSON=0")
			require.NoError(t, os.WriteFile(description, []byte(s.must("GET", "/openapi.yaml", "").body), 0o600))
			cmd := build(t, filepath.Join(fixture.Root(t), "test", "clients"), t.TempDir(), description)
			cmd.Args = append(cmd.Args, s.url, apiKey, fixture.Portrait(t, "obama.jpg"), fixture.Portrait(t, "biden.jpg"))
			cmd.Stderr = t.Output()
			out, err := cmd.Output()
			require.NoError(t, err)
			var got map[string]any
			require.NoError(t, json.Unmarshal(out, &got))
			require.Equal(t, want, got)
		})
	}
}

// goClient generates a client with oapi-codegen and builds session.go with it.
func goClient(t *testing.T, source, folder, description string) *exec.Cmd {
	t.Helper()
	for _, file := range []string{"go.mod", "go.sum", "session.go"} {
		content, err := os.ReadFile(filepath.Join(source, file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), content, 0o600))
	}
	for _, args := range [][]string{
		{"tool", "oapi-codegen", "-generate", "types,client", "-package", "main", "-o", "client.go", description},
		{"build", "-o", "session", "."},
	} {
		generate(t, folder, "go", args...)
	}
	return exec.CommandContext(t.Context(), filepath.Join(folder, "session"))
}

// pythonClient generates a client with openapi-python-client for session.py.
func pythonClient(t *testing.T, source, folder, description string) *exec.Cmd {
	t.Helper()
	programs := filepath.Join(fixture.Root(t), ".cache", "clients", "bin")
	require.FileExists(t, filepath.Join(programs, "openapi-python-client"), "run make clients")
	generate(t, folder, filepath.Join(programs, "openapi-python-client"), "generate", "--path", description,
		"--config", filepath.Join(source, "generator.yaml"), "--output-path", filepath.Join(folder, "imago_client"), "--meta", "none", "--overwrite")
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "python"), filepath.Join(source, "session.py"))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+folder, "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

// generate runs a generator in a folder.
func generate(t *testing.T, folder, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
