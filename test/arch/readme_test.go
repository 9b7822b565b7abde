package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// Every test that the README calls as a witness is there.
func TestReadmeNamesTestsThatExist(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(fixture.Root(t), "README.md"))
	require.NoError(t, err)
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`").FindAllStringSubmatch(string(readme), -1)
	require.Greater(t, len(named), 20)

	cmd := exec.CommandContext(t.Context(), "git", "grep", "-hoE", "^func (Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9_]*", "--", "*_test.go")
	cmd.Dir = fixture.Root(t)
	out, err := cmd.Output()
	require.NoError(t, err)
	there := map[string]bool{}
	for _, line := range strings.Split(string(out), "\n") {
		there[strings.TrimPrefix(line, "func ")] = true
	}
	for _, name := range named {
		if !there[name[1]] {
			t.Errorf("the README names %s, which is no test", name[1])
		}
	}
}
