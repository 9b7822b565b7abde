package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// programs holds the paths of the programs that program has built.
var programs = map[string]string{}

// program builds a program of the module in tools, which keeps Helm and Kubernetes out
// of go.mod, or of a module of its own in there, and returns its path.
func program(t *testing.T, name string) string {
	t.Helper()
	if programs[name] == "" {
		cmd := exec.CommandContext(t.Context(), "go", "tool", "-n", name)
		cmd.Dir = filepath.Join(fixture.Root(t), "test", "deploy", "tools")
		if own := filepath.Join(cmd.Dir, name); fileExists(filepath.Join(own, "go.mod")) {
			cmd.Dir = own
		}
		out, err := cmd.Output()
		require.NoError(t, err)
		programs[name] = strings.TrimSpace(string(out))
	}
	return programs[name]
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tool runs such a program and returns what it prints on standard output and on standard
// error.
func tool(t *testing.T, stdin string, environ []string, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, name), args...)
	cmd.Env = append(os.Environ(), environ...)
	var out, failed strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &failed
	err = cmd.Run()
	return out.String(), failed.String(), err
}

// mustTool is tool for a run that has to succeed.
func mustTool(t *testing.T, stdin string, environ []string, name string, args ...string) string {
	t.Helper()
	stdout, stderr, err := tool(t, stdin, environ, name, args...)
	require.NoError(t, err, "%s %s\n%s%s", name, strings.Join(args, " "), stdout, stderr)
	return stdout
}
