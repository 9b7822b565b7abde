package arch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// The picture of the packages stands in the README between these two lines.
const (
	graphBegin = "<!-- packages -->\n"
	graphEnd   = "<!-- /packages -->\n"
)

// The picture of the packages is that of the code. IMAGO_UPDATE_GRAPH=1 draws it again.
func TestPackageGraph(t *testing.T) {
	path := filepath.Join(fixture.Root(t), "README.md")
	before, rest, found := strings.Cut(content(t, "README.md"), graphBegin)
	require.True(t, found, "the README has no line %s", graphBegin)
	shown, after, found := strings.Cut(rest, graphEnd)
	require.True(t, found, "the README has no line %s", graphEnd)

	graph := mermaid(shippedImports(t))
	if os.Getenv("IMAGO_UPDATE_GRAPH") != "" {
		require.NoError(t, os.WriteFile(path, []byte(before+graphBegin+graph+graphEnd+after), 0o644))
		return
	}
	require.Equal(t, graph, shown, "draw it again: IMAGO_UPDATE_GRAPH=1 go test -run PackageGraph ./test/arch")
}

// An arrow that is left out of the picture because others lead there too must follow
// from those, and no other arrow may be left out.
func TestGraphLeavesOutOnlyWhatFollows(t *testing.T) {
	all := imports{"a": {"b", "c", "d"}, "b": {"c"}, "c": {}, "d": {}}
	require.Equal(t, imports{"a": {"b", "d"}, "b": {"c"}, "c": {}, "d": {}}, all.reduced())
}

// imports are the packages that each package imports, sorted, by their paths below the
// module's.
type imports map[string][]string

// shippedImports returns those of the packages that ship.
func shippedImports(t *testing.T) imports {
	t.Helper()
	all := imports{}
	for _, p := range packages(t) {
		if within(p.ImportPath, "imago/test") {
			continue
		}
		name := strings.TrimPrefix(p.ImportPath, "imago/")
		all[name] = []string{}
		for _, path := range p.Imports {
			if within(path, "imago") {
				all[name] = append(all[name], strings.TrimPrefix(path, "imago/"))
			}
		}
		slices.Sort(all[name])
	}
	return all
}

// reduced leaves out every import that is also reached through another one.
func (all imports) reduced() imports {
	out := imports{}
	for name, direct := range all {
		out[name] = slices.DeleteFunc(slices.Clone(direct), func(path string) bool {
			return slices.ContainsFunc(direct, func(other string) bool { return other != path && all.reaches(other, path) })
		})
	}
	return out
}

func (all imports) reaches(from, to string) bool {
	return from == to || slices.ContainsFunc(all[from], func(next string) bool { return all.reaches(next, to) })
}

// A group is a box of the picture with packages in it.
type group struct {
	id, title string
	has       func(name string) bool
	// importsAll and importedByAll mean that nearly all other packages are: arrows begin
	// or end at the box then, which stands for some package in it.
	importsAll, importedByAll bool
}

// groups are in the order in which they are drawn. A package belongs to the first whose
// rule it meets.
var groups = []group{
	{"binary", "cmd", func(name string) bool { return within(name, "cmd") }, true, false},
	{"driving", "driving adapters: they call imago", func(name string) bool {
		return slices.ContainsFunc(driving, func(d string) bool { return within("imago/"+name, d) })
	}, false, false},
	{"rules", "core", func(name string) bool { return within(name, "core") }, false, false},
	{"driven", "driven adapters: imago calls them", func(name string) bool {
		return within(name, "adapters") && !isLibrary("imago/"+name)
	}, false, false},
	{"library", "libraries of the adapters", func(name string) bool { return within(name, "adapters") }, false, false},
	{"boundary", "ports, config", func(string) bool { return true }, false, true},
}

// mermaid draws packages in their groups. An arrow at the edge of a group stands for
// some package in it.
func mermaid(all imports) string {
	place := map[string]group{}
	members := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		i := slices.IndexFunc(groups, func(g group) bool { return g.has(name) })
		place[name] = groups[i]
		members[groups[i].id] = append(members[groups[i].id], box(name))
	}
	arrows := imports{}
	for name, targets := range all.reduced() {
		for _, target := range targets {
			from, to := node(name), node(target)
			if in, other := place[name], place[target]; in.id != other.id && (in.importsAll || other.importedByAll) {
				from, to = in.id, other.id
			}
			if !slices.Contains(arrows[from], to) {
				arrows[from] = append(arrows[from], to)
			}
		}
	}
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart TD\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "  subgraph %s [\"%s\"]\n    %s\n  end\n", g.id, g.title, strings.Join(members[g.id], "; "))
	}
	for _, from := range slices.Sorted(maps.Keys(arrows)) {
		slices.Sort(arrows[from])
		fmt.Fprintf(&b, "  %s --> %s\n", from, strings.Join(arrows[from], " & "))
	}
	b.WriteString("```\n")
	return b.String()
}

// box returns a package as Mermaid draws it: without the folder that its group tells.
func box(name string) string {
	_, short, nested := strings.Cut(name, "/")
	if !nested {
		short = name
	}
	return fmt.Sprintf("%s[%s]", node(name), short)
}

// node returns the name of a package as Mermaid takes it.
func node(name string) string { return strings.ReplaceAll(name, "/", "_") }
