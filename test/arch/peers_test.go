package arch

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// The tables of peers that documents show are those of the last recorded run:
// python -m peers.report, the end of make bench-peers, writes both.
func TestPeerTables(t *testing.T) {
	results := content(t, "test", "bench", "peers", "results.md")
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "*.md")
	cmd.Dir = fixture.Root(t)
	files, err := cmd.Output()
	require.NoError(t, err)
	marked := regexp.MustCompile(`(?s)<!-- peers: ([^\n]+) -->\n(.*?)<!-- /peers -->`)
	shown := map[string]bool{}
	for _, file := range strings.Fields(string(files)) {
		for _, m := range marked.FindAllStringSubmatch(content(t, file), -1) {
			require.Contains(t, results, "\n"+m[1]+":\n\n"+strings.TrimSpace(m[2])+"\n", "%s shows another table %q: run make bench-peers, or its report", file, m[1])
			shown[m[1]] = true
		}
	}
	for _, name := range []string{"search faces", "accuracy", "evaluate", "networks", "pipeline"} {
		require.True(t, shown[name], "no document shows the table %q", name)
	}
}
