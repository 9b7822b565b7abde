package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/calibration"
	"imago/test/fixture"
	"imago/test/pages"
)

func content(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{fixture.Root(t)}, elem...)...))
	require.NoError(t, err)
	return string(data)
}

// Every test that a page names is there.
func TestPagesNameTestsThatExist(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "git", "grep", "-hoE", "^func (Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9_]*", "--", "*_test.go")
	cmd.Dir = fixture.Root(t)
	out, err := cmd.Output()
	require.NoError(t, err)
	exists := map[string]bool{}
	for _, line := range strings.Split(string(out), "\n") {
		exists[strings.TrimPrefix(line, "func ")] = true
	}
	count := 0
	for _, page := range pages.All(t) {
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`").FindAllStringSubmatch(page.Text, -1) {
			count++
			if !exists[name[1]] {
				t.Errorf("%s names %s, which is no test", page.Path, name[1])
			}
		}
	}
	require.Greater(t, count, 100)
}

// Every link and image of every page leads to a file of this repository, to a
// heading of a page, or to the network.
func TestPageLinks(t *testing.T) {
	count := 0
	for _, page := range pages.All(t) {
		for _, link := range page.Links() {
			if strings.HasPrefix(link, "https://") {
				continue
			}
			count++
			file, anchor, _ := strings.Cut(link, "#")
			target := page.Path
			if file != "" {
				target = path.Join(path.Dir(page.Path), file)
			}
			if _, err := os.Stat(filepath.Join(fixture.Root(t), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s: %v", page.Path, link, err)
				continue
			}
			if anchor != "" && !pages.Read(t, target).Anchors()[anchor] {
				t.Errorf("%s links to %s, but %s has no such heading", page.Path, link, target)
			}
		}
	}
	require.Greater(t, count, 50)
}

// Every page is found from the README, by whoever follows links.
func TestEveryPageIsLinked(t *testing.T) {
	found := map[string]bool{"README.md": true}
	for next := []string{"README.md"}; len(next) > 0; next = next[1:] {
		for _, link := range pages.Read(t, next[0]).Links() {
			file, _, _ := strings.Cut(link, "#")
			target := path.Join(path.Dir(next[0]), file)
			if strings.HasSuffix(file, ".md") && !strings.HasPrefix(file, "https://") && !found[target] {
				found[target] = true
				next = append(next, target)
			}
		}
	}
	for _, page := range pages.All(t) {
		if !found[page.Path] {
			t.Errorf("no page leads to %s", page.Path)
		}
	}
}

// The index of the adapters has each of them.
func TestEveryAdapterIsInTheIndex(t *testing.T) {
	index := pages.Read(t, "adapters/README.md").Section(t, "## The folders")
	folders, err := os.ReadDir(filepath.Join(fixture.Root(t), "adapters"))
	require.NoError(t, err)
	for _, folder := range folders {
		if folder.IsDir() {
			require.Regexp(t, `\[`+folder.Name()+`\]\(`+folder.Name()+`(/README\.md)?\)`, index)
		}
	}
}

// Every target of make that a page names is in the Makefile.
func TestPagesNameTargetsThatExist(t *testing.T) {
	targets := strings.Join(regexp.MustCompile("(?m)^[a-z-]+: ").FindAllString(content(t, "Makefile"), -1), "\n")
	count := 0
	for _, page := range pages.All(t) {
		for _, target := range regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(page.Text, -1) {
			count++
			if !regexp.MustCompile("(?m)^" + target[1] + ": ").MatchString(targets) {
				t.Errorf("%s names make %s, which is no target", page.Path, target[1])
			}
		}
	}
	require.Greater(t, count, 20)
}

// Every message in the table of troubles is one that imago has; … stands for what
// differs each time.
func TestTroublesAreReal(t *testing.T) {
	said := strings.Join(messages(t), "\n")
	quoted := 0
	for line := range strings.Lines(pages.Read(t, "docker/README.md").Section(t, "## Troubleshooting")) {
		cells := strings.Split(line, " | ")
		if len(cells) != 2 || !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[0], -1) {
			quoted++
			pattern := regexp.QuoteMeta(message[1])
			pattern = strings.ReplaceAll(pattern, "…", `("?%[a-z]"?|\w+)*`)
			if !regexp.MustCompile(pattern).MatchString(said) {
				t.Errorf("imago does not say %q", message[1])
			}
		}
	}
	require.Greater(t, quoted, 30)
}

// messages returns the strings in the code of imago, each in one piece however it is
// written.
func messages(t *testing.T) (all []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "adapters/*.go", "cmd/*.go", "config/*.go", "core/*.go", "ports/*.go")
	cmd.Dir = fixture.Root(t)
	out, err := cmd.Output()
	require.NoError(t, err)
	for _, name := range strings.Fields(string(out)) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		path := filepath.Join(cmd.Dir, name)
		if _, err := os.Stat(path); os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			s, ok := text(e)
			if ok {
				all = append(all, s)
			}
			return !ok
		})
	}
	return all
}

// text joins the literals of a string that is written in pieces; what lies between
// them is left out.
func text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, a := text(e.X)
		right, b := text(e.Y)
		return left + right, e.Op == token.ADD && (a || b)
	}
	return "", false
}

// The backends that ship have gone the six steps of adapters/README.md, so the next one will
// find its way.
func TestSixSteps(t *testing.T) {
	steps := pages.Read(t, "adapters/README.md").Section(t, "## Add a backend in six steps")
	for i := range 6 {
		require.Contains(t, steps, "\n"+strconv.Itoa(i+1)+". **")
	}
	named := 0
	for _, path := range regexp.MustCompile("`((?:adapters|config|core|ports|cmd|test)/[\\w./]+)`").FindAllStringSubmatch(steps, -1) {
		if !strings.Contains(path[1], "NAME") {
			_, err := os.Stat(filepath.Join(fixture.Root(t), path[1]))
			require.NoError(t, err)
			named++
		}
	}
	require.GreaterOrEqual(t, named, 11)
	for _, symbol := range []string{"ports.StoreDriver", "contract.VectorStore", "contract.VectorStoreConcurrency", "storeModule", "CONTRACT_NAME", "oneof"} {
		require.Contains(t, steps, symbol)
	}

	driver, _ := reflect.TypeFor[config.Store]().FieldByName("Driver")
	_, drivers, _ := strings.Cut(driver.Tag.Get("validate"), "oneof=")
	folders := map[string]string{"memory": "memstore", "pgvector": "pgstore", "milvus": "milvusstore"}
	require.Len(t, strings.Fields(drivers), len(folders))
	for _, name := range strings.Fields(drivers) {
		folder := folders[name]
		content(t, "config", name+".yaml")
		library := folder // where the errors of a library are translated
		if name == "memory" {
			library = "memstore/sqlite"
		}
		for _, file := range []string{folder + "/doc.go", library + "/errors.go", folder + "/module.go"} {
			content(t, "adapters", file)
		}
		contract := content(t, "adapters", folder, "store_test.go")
		require.Contains(t, contract, "contract.VectorStore(")
		require.Contains(t, contract, "contract.VectorStoreConcurrency(")
		require.Contains(t, content(t, "cmd", "imago", "compose.go"), folder+".Module")
		require.Contains(t, content(t, "Makefile"), "\nCONTRACT_"+name+" := ./adapters/"+folder+"\n")
		require.Contains(t, content(t, "test", "e2e", "migrate_test.go"), "driver: "+name)
	}
}

// What the page says of thresholds is what the manifest of the default embedder
// says, to the digits that are shown.
func TestThresholdTable(t *testing.T) {
	m, err := config.LoadManifest(config.BuiltinModels, config.Default().Models.Embedder)
	require.NoError(t, err)
	curve := calibration.Curve{Midpoint: m.Calibration.Midpoint, Steepness: m.Calibration.Steepness}
	var rates calibration.Rates
	for _, r := range m.Calibration.FMR {
		rates = append(rates, calibration.Point{Cosine: r.Cosine, Rate: r.Rate})
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) %(?: and above)? \| ([\d.]+) \| (?:at most )?([\de.-]+) \| (.+) \|$`).
		FindAllStringSubmatch(pages.Read(t, "core/evaluation/README.md").Section(t, "## What a threshold means"), -1)
	require.Len(t, rows, 4)
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(strings.Trim(s, "≤ %"), 64)
		require.NoError(t, err)
		return v
	}
	for _, row := range rows {
		cosine := curve.Cosine(number(row[1]))
		require.InDelta(t, number(row[2]), cosine, 0.0005, row[0])
		rate, known := rates.At(cosine)
		require.True(t, known)
		require.InEpsilon(t, number(row[3]), rate.Value, 0.05, row[0])
		for i, cell := range strings.Split(row[4], " | ") {
			n := []int{100, 1000, 10_000, 100_000}[i]
			require.InDelta(t, number(cell), 100*calibration.Among(n, rate).Value, 0.6, "%s, %d users", row[0], n)
		}
	}
}

// Every test and benchmark that a page tells its reader to run is there: a pattern of
// -run or -bench that matches nothing would do nothing, and succeed.
func TestPagePatternsMatch(t *testing.T) {
	command := regexp.MustCompile("go test [^`\n]*")
	pattern := regexp.MustCompile(`-(run|bench) ('[^']+'|\S+)`)
	folder := regexp.MustCompile(`\./([\w./]+)`)
	count := 0
	for _, page := range pages.All(t) {
		for _, line := range command.FindAllString(page.Text, -1) {
			in := folder.FindStringSubmatch(line)
			if in == nil {
				continue
			}
			names := testNames(t, in[1])
			for _, p := range pattern.FindAllStringSubmatch(line, -1) {
				top, _, _ := strings.Cut(strings.Trim(p[2], "'"), "/")
				if top == "^$" || top == "xxx" {
					continue // no tests, only benchmarks
				}
				for name := range strings.SplitSeq(top, "|") {
					count++
					if !slices.ContainsFunc(names[p[1] == "bench"], regexp.MustCompile(name).MatchString) {
						t.Errorf("%s tells to run %s, but nothing in %s is called %s", page.Path, p[0], in[1], name)
					}
				}
			}
		}
	}
	require.Greater(t, count, 20)
}

// testNames returns the names of the benchmarks (true) and of the tests (false) in a
// folder.
func testNames(t *testing.T, folder string) map[bool][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(fixture.Root(t), filepath.FromSlash(folder), "*_test.go"))
	require.NoError(t, err)
	names := map[bool][]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|(Benchmark))\w+)\(`).FindAllStringSubmatch(string(data), -1) {
			names[m[2] != ""] = append(names[m[2] != ""], m[1])
		}
	}
	return names
}
