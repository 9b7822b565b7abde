package arch

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
	CgoFiles   []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Imports,GoFiles,CgoFiles", "./...")
	cmd.Dir = fixture.Root(t)
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		require.NoError(t, dec.Decode(&p))
		all = append(all, p)
	}
	require.Greater(t, len(all), 10, "the module's packages")
	return all
}

// A layer is a folder with the imports it is allowed beside the standard
// library: prefixes of import paths.
var layers = []struct {
	folder  string
	allowed []string
	why     string
}{
	{"imago/ports", nil, "the boundary knows no technology and nobody else"},
	// errgroup is the one pool of workers. It belongs to the Go project.
	{"imago/core", []string{"imago/ports", "imago/core", "golang.org/x/sync/errgroup"}, "the rules are free of technology"},
	// Names in the configuration keep the same rules as names in requests. So that these
	// exist once and config stays a leaf, naming imports nothing of imago; it needs the
	// tables of Unicode that the standard library leaves out.
	{"imago/core/naming", []string{"golang.org/x/text/unicode/norm"}, "the rules for names are a leaf"},
	{"imago/config", []string{"imago/config", "imago/core/naming", "imago/ports", "go.yaml.in/yaml/", "github.com/go-playground/validator/"}, "settings are a leaf"},
}

func TestLayers(t *testing.T) {
	for _, p := range packages(t) {
		for _, layer := range layers {
			if layer.folder != layerOf(p.ImportPath) {
				continue
			}
			for _, imported := range p.Imports {
				if !external(imported) || slices.ContainsFunc(layer.allowed, func(a string) bool { return within(imported, a) }) {
					require.NotEqual(t, "net/http", imported, "%s: %s", p.ImportPath, layer.why)
					continue
				}
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, layer.why)
			}
		}
	}
}

// libraries are the packages beside the adapters that any adapter may import. Of imago they
// import ports and each other alone.
var libraries = []string{"imago/adapters/exactindex", "imago/adapters/memindex", "imago/adapters/replica", "imago/adapters/onnx/rewrite"}

func isLibrary(path string) bool {
	return slices.ContainsFunc(libraries, func(l string) bool { return within(path, l) })
}

func TestLibrariesImportPortsAlone(t *testing.T) {
	found := 0
	for _, p := range packages(t) {
		if !isLibrary(p.ImportPath) {
			continue
		}
		found++
		for _, imported := range p.Imports {
			if within(imported, "imago") && !within(imported, "imago/ports") && !isLibrary(imported) {
				t.Errorf("%s imports %s: of imago, a library that adapters share imports ports alone", p.ImportPath, imported)
			}
		}
	}
	require.GreaterOrEqual(t, found, len(libraries))
}

// driving are the adapters that call imago: they may import the core. All others are
// called by it and know the ports alone.
var driving = []string{"imago/adapters/httpapi", "imago/adapters/evalreport", "imago/adapters/loadgen", "imago/adapters/console"}

// An adapter is built on ports, config and libraries, never on another adapter; only
// its module.go knows fx.
func TestAdaptersStandAlone(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		if !within(p.ImportPath, "imago/adapters") {
			continue
		}
		own := strings.Join(strings.SplitN(p.ImportPath, "/", 4)[:3], "/")
		seen[own] = true
		allowed := append([]string{own, "imago/ports", "imago/config"}, libraries...)
		if slices.Contains(driving, own) {
			allowed = append(allowed, "imago/core")
		}
		for _, imported := range p.Imports {
			if within(imported, "imago") && !slices.ContainsFunc(allowed, func(a string) bool { return within(imported, a) }) {
				t.Errorf("%s imports %s: an adapter may import %s", p.ImportPath, imported, strings.Join(allowed, ", "))
			}
		}
		for _, file := range append(p.GoFiles, p.CgoFiles...) {
			if file != "module.go" && slices.ContainsFunc(importsOf(t, filepath.Join(p.Dir, file)), func(i string) bool { return within(i, "go.uber.org/fx") }) {
				t.Errorf("%s/%s imports fx: only module.go may", p.ImportPath, file)
			}
		}
	}
	for _, name := range driving {
		require.True(t, seen[name], "there is no adapter %s", name)
	}
}

// Code that ships never imports the test suites.
func TestNothingImportsTests(t *testing.T) {
	for _, p := range packages(t) {
		if within(p.ImportPath, "imago/test") {
			continue
		}
		for _, imported := range p.Imports {
			if within(imported, "imago/test") || within(imported, "testing") || within(imported, "github.com/stretchr/testify") {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		var docs []string
		for _, file := range append(p.GoFiles, p.CgoFiles...) {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.PackageClauseOnly|parser.ParseComments)
			require.NoError(t, err)
			if f.Doc != nil {
				docs = append(docs, f.Doc.Text())
			}
		}
		if len(docs) != 1 || len(docs[0]) < 80 {
			t.Errorf("%s has %d package comments; exactly one paragraph is wanted", p.ImportPath, len(docs))
		}
	}
}

func TestTopLevel(t *testing.T) {
	allowed := []string{"cmd", "adapters", "core", "ports", "config", "test", "docker", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE"}
	cmd := exec.CommandContext(t.Context(), "git", "ls-files")
	cmd.Dir = fixture.Root(t)
	out, err := cmd.Output()
	require.NoError(t, err)
	for _, path := range strings.Fields(string(out)) {
		top, _, _ := strings.Cut(path, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s does not belong to the top level", top)
		}
	}
}

// Names like these gather what nobody found a place for.
func TestPackageNames(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range []string{"util", "utils", "common", "helper", "helpers", "manager", "models", "misc", "base"} {
			if filepath.Base(p.Dir) == name {
				t.Errorf("%s: name the package for what it does", p.ImportPath)
			}
		}
	}
}

// layerOf returns the folder of the narrowest layer that a package lies in.
func layerOf(path string) (folder string) {
	for _, layer := range layers {
		if within(path, layer.folder) && len(layer.folder) > len(folder) {
			folder = layer.folder
		}
	}
	return folder
}

// within reports whether an import path is the prefix or lies below it.
func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

// external reports whether an import path is outside the standard library.
func external(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") || first == "imago"
}

func importsOf(t *testing.T, file string) (paths []string) {
	t.Helper()
	src, err := os.ReadFile(file)
	require.NoError(t, err)
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	require.NoError(t, err)
	for _, i := range f.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}
