package pages

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"imago/test/fixture"
)

// Page is one Markdown file.
type Page struct {
	Path string // from the root of the repository, with slashes
	Text string
}

// Block is a fenced block of code.
type Block struct{ Language, Text string }

var (
	fence   = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	heading = regexp.MustCompile(`^#+ `)
	// A link or an image: [text](target) and ![text](target).
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// What GitHub leaves out of an anchor.
	unanchored = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// All returns every page that git tracks.
func All(tb testing.TB) (all []Page) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "git", "ls-files", "*.md")
	cmd.Dir = fixture.Root(tb)
	out, err := cmd.Output()
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		if _, err := os.Stat(filepath.Join(cmd.Dir, filepath.FromSlash(name))); os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		all = append(all, Read(tb, name))
	}
	return all
}

// Read returns the page with a path, such as docker/README.md.
func Read(tb testing.TB, name string) Page {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(fixture.Root(tb), filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return Page{Path: path.Clean(name), Text: string(data)}
}

// Section returns what is below a heading, such as "## Tutorial", down to the next
// heading of the same or a higher level.
func (p Page) Section(tb testing.TB, title string) string {
	tb.Helper()
	var section strings.Builder
	level, code, inside := strings.Count(strings.Fields(title)[0], "#"), false, false
	for line := range strings.Lines(p.Text) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if !code && heading.MatchString(line) {
			if inside && strings.Count(strings.Fields(line)[0], "#") <= level {
				break
			}
			if strings.TrimSpace(line) == title {
				inside = true
				continue
			}
		}
		if inside {
			section.WriteString(line)
		}
	}
	if !inside {
		tb.Fatalf("%s has no section %q", p.Path, title)
	}
	return section.String()
}

// Blocks returns the fenced blocks of a text.
func Blocks(text string) (blocks []Block) {
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, Block{Language: m[1], Text: m[2]})
	}
	return blocks
}

// Links returns the targets of the links and images of the page.
func (p Page) Links() (targets []string) {
	for _, m := range link.FindAllStringSubmatch(p.prose(), -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// Anchors returns what a link to a heading of the page may have behind the #.
func (p Page) Anchors() map[string]bool {
	anchors := map[string]bool{}
	for line := range strings.Lines(p.prose()) {
		if mark := heading.FindString(line); mark != "" {
			title := unanchored.ReplaceAllString(strings.ToLower(strings.TrimSpace(line[len(mark):])), "")
			anchors[strings.ReplaceAll(title, " ", "-")] = true
		}
	}
	return anchors
}

// prose returns the page without its blocks of code.
func (p Page) prose() string { return fence.ReplaceAllString(p.Text, "") }
