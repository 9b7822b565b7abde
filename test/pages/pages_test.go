package pages

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var sample = Page{Path: "docker/README.md", Text: `# Operate imago

See [elsewhere](../README.md#what-it-does) and ![a chart](chart.png).

## Back up, and restore

Text.

` + "```sh\n# Back:\n[x](no-link)\n```" + `

### imago's own file

More.

## Next
`}

func TestSection(t *testing.T) {
	section := sample.Section(t, "## Back up, and restore")
	require.Contains(t, section, "# Back:", "a comment in a block of commands is no heading")
	require.Contains(t, section, "More.", "what is below lower headings belongs to it")
	require.NotContains(t, section, "Next")
	require.Equal(t, []Block{{Language: "sh", Text: "# Back:\n[x](no-link)\n"}}, Blocks(section))
}

func TestLinksAndAnchors(t *testing.T) {
	require.Equal(t, []string{"../README.md#what-it-does", "chart.png"}, sample.Links())
	require.Equal(t, map[string]bool{"operate-imago": true, "back-up-and-restore": true, "imagos-own-file": true, "next": true}, sample.Anchors())
}
