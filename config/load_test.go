package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// problems returns what an error lists, after checking that it is an *Error.
func problems(t *testing.T, err error) []string {
	t.Helper()
	var invalid *Error
	require.ErrorAs(t, err, &invalid)
	return invalid.Problems
}

// wanted returns the lines that a test file expects, each behind "# want: ".
func wanted(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var want []string
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "# want: "); ok {
			want = append(want, strings.TrimSpace(text))
		}
	}
	require.NotEmpty(t, want, "%s says what is wrong with it", path)
	return want
}

func matches(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}

// write puts a file into a folder of the test's own.
func write(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestLoadBadFiles(t *testing.T) {
	for _, path := range matches(t, "testdata/*.bad.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cfg, err := Load(path, nil)
			require.ElementsMatch(t, wanted(t, path), problems(t, err))
			require.ErrorContains(t, err, path)
			require.Zero(t, cfg, "no half-loaded settings")
		})
	}
}

func TestLoadGoodFiles(t *testing.T) {
	changes := map[string]func(*Config){
		"empty.good.yaml":    func(*Config) {},
		"comments.good.yaml": func(*Config) {},
		"unix.good.yaml": func(c *Config) {
			c.Server.Listen, c.Server.OpsListen = "unix:///run/imago/imago.sock", "[::1]:9090"
			c.Collections, c.Store.Memory.Path = []Collection{}, ""
		},
		"tls.good.yaml": func(c *Config) {
			c.Server.SocketMode = "0600"
			c.Server.TLS = TLS{CertFile: "testdata/cert.pem", KeyFile: "testdata/key.pem", MinVersion: "1.3", ClientCAFile: "testdata/ca.pem", ClientAuth: ClientAuthRequire}
			c.Server.TrustedProxies = []string{"127.0.0.1", "10.0.0.0/8", "fd00::/8", UnixProxy}
			c.Auth.Rate, c.Auth.Burst = 2.5, 10
		},
		"partial.good.yaml": func(c *Config) {
			c.Server.Timeouts.Request = 90 * time.Second
			c.Collections = []Collection{{Name: "vip"}, {Name: "black-list_2", Shared: true}}
			c.Inference.DetectSizes = []int{160, 640}
			c.Search.Threshold, c.Quality.Enabled = 75.5, false
		},
		"retention.good.yaml": func(c *Config) {
			c.Inventory.Retention, c.Expiry.EraseWithin = Period(1095*24*time.Hour), time.Hour
			c.Collections = []Collection{{Name: "vip", Retention: Period(36 * time.Hour)}, {Name: "staff"}, {Name: "guests", Retention: Period(36525 * 24 * time.Hour)}}
		},
		"guards.good.yaml": func(c *Config) {
			c.Inventory.Unique, c.Inventory.Screen, c.Inventory.SamePerson = 90, []string{"blacklist"}, 0
			c.Collections = []Collection{{Name: "blacklist", Unique: 99.5, SamePerson: 20}, {Name: "staff", Screen: []string{"blacklist", "staff"}}}
		},
		"chips.good.yaml": func(c *Config) {
			c.Chips.KeyFile, c.Store.Memory.Path, c.Inventory.KeepChips = "testdata/chips.key", "testdata/imago.db", true
			c.Collections = []Collection{{Name: "blacklist", KeepChips: true}}
		},
		"tokens.good.yaml": func(c *Config) {
			c.Token = Token{KeysFile: "testdata/keys.json", MaxAge: time.Minute, ClockSkew: 0, ReplayCache: 0, RequireInInventory: true}
			c.Collections = []Collection{{Name: "vip", RequireToken: true}}
		},
	}
	for _, path := range matches(t, "testdata/*.good.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			change := changes[filepath.Base(path)]
			require.NotNil(t, change, "the test says what the file sets")
			want := Default()
			change(&want)
			got, err := Load(path, nil)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestLoadWithoutFile(t *testing.T) {
	got, err := Load("", []string{"PATH=/bin", "HOME=/root"})
	require.NoError(t, err)
	require.Equal(t, Default(), got)
}

func TestDefaultIsFresh(t *testing.T) {
	changed := Default()
	changed.Collections[0].Name, changed.Inference.DetectSizes[0] = "changed", 1
	require.NotEqual(t, changed, Default())
}

func TestLoadMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "absent.yaml"), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "absent.yaml")
}

func TestLoadBoundsFile(t *testing.T) {
	fits := "# " + strings.Repeat("x", maxFile-2)
	_, err := Load(write(t, fits), nil)
	require.NoError(t, err)
	_, err = Load(write(t, fits+"x"), nil)
	require.ErrorContains(t, err, "larger than 1048576 bytes")
}

// Every shipped file loads, and says the default of every setting: those of its
// own driver need no more than the address of the server.
func TestShippedFiles(t *testing.T) {
	for _, path := range shipped {
		t.Run(path, func(t *testing.T) {
			got, err := Load(path, nil)
			require.NoError(t, err)
			require.Equal(t, strings.TrimSuffix(path, ".yaml"), got.Store.Driver)
			want := Default()
			want.Models.Dir = "../models" // seen from the folder of the file, where the test runs
			if path == "memory.yaml" {
				want.Store.Memory.Path = "../data/imago.db"
			}
			want.Store.Driver = got.Store.Driver
			want.Store.PGVector.DSN = got.Store.PGVector.DSN
			want.Store.Milvus.Address = got.Store.Milvus.Address
			require.Equal(t, want, got)
		})
	}
}

var shipped = []string{"memory.yaml", "pgvector.yaml", "milvus.yaml"}

// The files that document the settings leave none out, but for the blocks of
// other drivers.
func TestShippedFilesAreComplete(t *testing.T) {
	for _, file := range shipped {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		r, cfg := newReport(), Default()
		r.decode(data, &cfg)
		own := "store." + strings.TrimSuffix(file, ".yaml")
		for path := range paths(reflect.ValueOf(cfg)) {
			if strings.HasPrefix(path, "store.") && path != "store.driver" && !strings.HasPrefix(path, own+".") {
				continue
			}
			require.Contains(t, r.origins, path, "%s says %s", file, path)
		}
	}
}

// Swapping the backend is one section of the file: the rest is the same text.
func TestShippedFilesDifferInTheirStoreSectionOnly(t *testing.T) {
	rest := func(file string) string {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		before, store, found := strings.Cut(string(data), "\nstore:\n")
		require.True(t, found, file)
		_, after, found := strings.Cut(store, "\n\n")
		require.True(t, found, file)
		return before + after
	}
	for _, file := range shipped[1:] {
		require.Equal(t, rest(shipped[0]), rest(file), file)
	}
}

// paths returns the path of every setting.
func paths(v reflect.Value) map[string]bool {
	settings, all := map[string]setting{}, map[string]bool{}
	collectSettings(settings, v, "")
	for _, s := range settings {
		all[s.path] = true
	}
	return all
}

func TestErrorCountsProblems(t *testing.T) {
	one := &Error{Source: "a.yaml", Problems: []string{"x: y"}}
	two := &Error{Source: "a.yaml", Problems: []string{"x: y", "z: y"}}
	require.EqualError(t, one, "config: a.yaml has 1 problem:\n  x: y")
	require.EqualError(t, two, "config: a.yaml has 2 problems:\n  x: y\n  z: y")
}

// What a text says is never repeated: it may be a secret in the wrong place.
func TestProblemsKeepValuesToThemselves(t *testing.T) {
	const secret = "hunter2"
	for path := range paths(reflect.ValueOf(Default())) {
		sections := strings.Split(path, ".")
		var file strings.Builder
		for depth, section := range sections {
			fmt.Fprintf(&file, "%s%s:", strings.Repeat("  ", depth), section)
			if depth < len(sections)-1 {
				file.WriteString("\n")
			}
		}
		for _, value := range []string{secret, "[" + secret + "]", "{" + secret + "}", "!" + secret + " x", "{a: " + secret + "}"} {
			_, err := Load(write(t, file.String()+" "+value+"\n"), nil)
			if err != nil && !strings.Contains(value, "{"+secret) {
				require.NotContains(t, err.Error(), secret, path)
			}
		}
		name := prefix + strings.ToUpper(strings.Join(sections, "_"))
		if _, err := Load("", []string{name + "=" + secret}); err != nil {
			require.NotContains(t, err.Error(), secret, path)
		}
	}
}

// violations returns what validation says of settings.
func (c Config) violations() []string {
	r := newReport()
	r.validate(&c)
	return r.problems
}

// requireLines checks that no problem breaks the line or leaves it empty.
func requireLines(t *testing.T, err error) {
	t.Helper()
	var invalid *Error
	if !errors.As(err, &invalid) {
		return
	}
	require.NotEmpty(t, invalid.Problems)
	for _, p := range invalid.Problems {
		require.NotContains(t, p, "\n")
		require.NotEmpty(t, p)
	}
}
