package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/calibration"
	"imago/test/fixture"
)

func content(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{fixture.Root(t)}, elem...)...))
	require.NoError(t, err)
	return string(data)
}

// section returns a section of the README, down to the next heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(content(t, "README.md"), "\n"+heading+"\n")
	require.True(t, found, heading)
	body, _, _ := strings.Cut(rest, "\n#")
	return body
}

// Every test that the README calls as a witness is there.
func TestReadmeNamesTestsThatExist(t *testing.T) {
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`").FindAllStringSubmatch(content(t, "README.md"), -1)
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

// Every link of the README leads somewhere: to a file of this repository, to a
// heading, or to the network.
func TestReadmeLinks(t *testing.T) {
	readme := content(t, "README.md")
	headings := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(readme, -1) {
		headings["#"+strings.ReplaceAll(strings.ToLower(h[1]), " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(readme, -1)
	require.Greater(t, len(links), 50)
	for _, link := range links {
		switch target := link[1]; {
		case strings.HasPrefix(target, "#"):
			require.True(t, headings[target], "there is no heading %s", target)
		case !strings.HasPrefix(target, "https://"):
			_, err := os.Stat(filepath.Join(fixture.Root(t), filepath.FromSlash(target)))
			require.NoError(t, err)
		}
	}
}

// Every target of make that the README names is in the Makefile.
func TestReadmeNamesTargetsThatExist(t *testing.T) {
	targets := strings.Join(regexp.MustCompile("(?m)^[a-z-]+: ").FindAllString(content(t, "Makefile"), -1), "\n")
	named := regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(content(t, "README.md"), -1)
	require.Greater(t, len(named), 5)
	for _, target := range named {
		require.Regexp(t, "(?m)^"+target[1]+": ", targets, "make %s", target[1])
	}
}

// Every message in the table of troubles is one that imago has; … stands for what
// differs each time.
func TestTroublesAreReal(t *testing.T) {
	said := strings.Join(messages(t), "\n")
	quoted := 0
	for line := range strings.Lines(section(t, "### Troubleshooting")) {
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

// The backends that ship have gone the six steps of the README, so the seventh will
// find its way.
func TestSixSteps(t *testing.T) {
	steps := section(t, "### Add a backend in six steps")
	for i := range 6 {
		require.Contains(t, steps, "\n"+strconv.Itoa(i+1)+". **")
	}
	named := 0
	for _, path := range regexp.MustCompile("`((?:adapters|config|ports|cmd|test)/[\\w./]+)`").FindAllStringSubmatch(steps, -1) {
		if !strings.Contains(path[1], "NAME") {
			_, err := os.Stat(filepath.Join(fixture.Root(t), path[1]))
			require.NoError(t, err)
			named++
		}
	}
	require.GreaterOrEqual(t, named, 9)
	for _, symbol := range []string{"contract.VectorStore", "contract.VectorStoreConcurrency", "storeModule", "CONTRACT_NAME", "oneof"} {
		require.Contains(t, steps, symbol)
	}

	driver, _ := reflect.TypeFor[config.Store]().FieldByName("Driver")
	_, drivers, _ := strings.Cut(driver.Tag.Get("validate"), "oneof=")
	folders := map[string]string{"memory": "memstore", "pgvector": "pgstore", "milvus": "milvusstore"}
	require.Len(t, strings.Fields(drivers), len(folders))
	for _, name := range strings.Fields(drivers) {
		folder := folders[name]
		content(t, "config", name+".yaml")
		for _, file := range []string{"doc.go", "errors.go", "module.go"} {
			content(t, "adapters", folder, file)
		}
		contract := content(t, "adapters", folder, "store_test.go")
		require.Contains(t, contract, "contract.VectorStore(")
		require.Contains(t, contract, "contract.VectorStoreConcurrency(")
		require.Contains(t, content(t, "cmd", "imago", "compose.go"), folder+".Module")
		require.Contains(t, content(t, "Makefile"), "\nCONTRACT_"+name+" := ./adapters/"+folder+"\n")
		require.Contains(t, content(t, "test", "e2e", "migrate_test.go"), "driver: "+name)
	}
}

// What the README says of thresholds is what the manifest of the default embedder
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
		FindAllStringSubmatch(section(t, "### Choose a threshold"), -1)
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
