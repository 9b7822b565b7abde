package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestLoadKeys(t *testing.T) {
	got, err := LoadKeys("testdata/keys/good.yaml")
	require.NoError(t, err)
	require.Equal(t, Keys{Keys: []Key{
		{Name: "gate-1", SHA256: Hashes{{Hash: strings.Repeat("a1", 32)}}, Collections: []string{All}, Operations: []string{All}},
		{
			Name: "kiosk", SHA256: Hashes{{Hash: strings.Repeat("b2", 32)}},
			Collections: []string{"users", "blacklist"}, Operations: []string{"search", "read"},
			Expires: time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC),
			Rate:    new(0.5), Burst: new(3),
		},
	}}, got)
}

func TestLoadKeysRefuses(t *testing.T) {
	for _, path := range matches(t, "testdata/keys/*.bad.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			keys, err := LoadKeys(path)
			require.ElementsMatch(t, wanted(t, path), problems(t, err))
			require.Zero(t, keys)
		})
	}
}

func TestLoadKeysWithoutKeys(t *testing.T) {
	for _, content := range []string{"", "keys:", "keys: []"} {
		keys, err := LoadKeys(write(t, content))
		require.NoError(t, err)
		require.Empty(t, keys.Keys)
	}
}

// What is printed for a new key reads back as it was.
func TestKeysRoundTrip(t *testing.T) {
	want := Keys{Keys: []Key{
		{Name: "a", SHA256: Hashes{{Hash: strings.Repeat("0", 64)}}, Collections: []string{All}, Operations: []string{All}},
		{Name: "b", SHA256: Hashes{{Hash: strings.Repeat("1", 64)}}, Collections: []string{"users"}, Operations: []string{"read"}, Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Rate: new(0.0)},
		{Name: "c", SHA256: Hashes{{Hash: strings.Repeat("2", 64), Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}}, Collections: []string{All}, Operations: []string{All}},
		{Name: "d", SHA256: Hashes{{Hash: strings.Repeat("3", 64)}, {Hash: strings.Repeat("4", 64), Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}}, Collections: []string{All}, Operations: []string{All}},
	}}
	data, err := yaml.Marshal(want)
	require.NoError(t, err)
	require.NotContains(t, string(data), "expires: 0001")
	got, err := LoadKeys(write(t, string(data)))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// files of the same two keys, as people and programs write them.
var sameKeys = map[string]string{
	"as printed": `keys:
  - name: kiosk
    sha256: ` + strings.Repeat("a1", 32) + `
    expires: 2030-01-31T12:00:00Z
    rate: 5
    burst: 12
    collections: [users, blacklist]
    operations: [search, read]
  - name: desk
    sha256: ` + strings.Repeat("b2", 32) + `
    rate: 50
    collections: [all]
    operations: [all]
`,
	"block lists": `keys:
  - operations:
      - search
      - read
    name: kiosk
    sha256: ` + strings.Repeat("a1", 32) + `
    expires: 2030-01-31T12:00:00Z
    rate: 5
    burst: 12
    collections:
      - users
      - blacklist
  - name: desk
    sha256: ` + strings.Repeat("b2", 32) + `
    rate: 50
    collections: [all]
    operations: [all]
`,
	"JSON": `{"keys": [{"burst": 12, "collections": ["users", "blacklist"], "expires": "2030-01-31T12:00:00Z", "name": "kiosk",
  "operations": ["search", "read"], "rate": 5, "sha256": "` + strings.Repeat("a1", 32) + `"},
 {"collections": ["all"], "name": "desk", "operations": ["all"], "rate": 50, "sha256": "` + strings.Repeat("b2", 32) + `"}]}`,
	"several hashes": `keys:
  - name: kiosk
    sha256:
      - ` + strings.Repeat("a1", 32) + `
      - hash: ` + strings.Repeat("c3", 32) + `
        expires: 2030-01-31T12:00:00Z
    collections: [users, blacklist]
    operations: [search, read]
  - name: desk
    collections: [all]
    sha256: [{hash: ` + strings.Repeat("b2", 32) + `, expires: 2030-01-31T12:00:00Z}, ` + strings.Repeat("d4", 32) + `]
    operations:
      - search
      - read
`,
	"with an end and hashes last": `keys:
  - name: kiosk
    collections: [users, blacklist]
    operations: [search, read]
    sha256:
      - ` + strings.Repeat("a1", 32) + `
      - {hash: ` + strings.Repeat("c3", 32) + `, expires: 2030-01-31T12:00:00Z}
  - name: desk
    collections: [all]
    operations: [all]
    sha256:
      - hash: ` + strings.Repeat("b2", 32) + `
        expires: 2030-01-31T12:00:00Z
...
`,
	"with an end": `keys:
  - name: desk
    sha256: ` + strings.Repeat("b2", 32) + `
    collections: [all]
    operations: [all]
    rate: 50
  - name: kiosk
    sha256: ` + strings.Repeat("a1", 32) + `
    collections: [users, blacklist]
    operations: [search, read]
    expires: 2030-01-31T12:00:00Z
    rate: 5
    burst: 12
...
# whatever`,
}

// Wherever a file is cut short, no key in it may more than in the whole file, more
// often or for longer; and one that has lost its end mark says so.
func TestKeysCutShort(t *testing.T) {
	for name, text := range sameKeys {
		t.Run(name, func(t *testing.T) {
			whole, wholeEnded, err := ReadKeys(write(t, text))
			require.NoError(t, err)
			require.Len(t, whole.Keys, 2)
			require.Equal(t, strings.HasPrefix(name, "with an end"), wholeEnded)
			path, refused := filepath.Join(t.TempDir(), "keys.yaml"), 0
			for cut := range len(text) {
				require.NoError(t, os.WriteFile(path, []byte(text[:cut]), 0o600))
				keys, ended, err := ReadKeys(path)
				if err != nil {
					refused++
					continue
				}
				if wholeEnded && !ended {
					continue // which a keyring refuses that had the whole one
				}
				for _, got := range keys.Keys {
					i := slices.IndexFunc(whole.Keys, func(k Key) bool { return k.Name == got.Name })
					require.GreaterOrEqual(t, i, 0, text[:cut])
					want := whole.Keys[i]
					require.Subset(t, want.Collections, got.Collections, text[:cut])
					require.Subset(t, want.Operations, got.Operations, text[:cut])
					got.Collections, got.Operations = want.Collections, want.Operations
					require.Equal(t, want, got, text[:cut])
				}
			}
			require.Positive(t, refused)
		})
	}
}

// Of a file that was named by mistake nothing is told but where it is wrong.
func TestKeysErrorsTellNothing(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		secret, "- " + secret, secret + ": x\n", "keys: " + secret, "keys:\n  - " + secret, "keys:\n  - " + secret + ": x\n", "keys:\n  - name: a\n    " + secret + ": 1\n",
		"a: [" + secret, "a: *" + secret + "\n", "a: !" + secret + "! x\n", "%" + secret + "\n---\n", "a: \"\\" + secret + "\"\n", "root:*:" + secret + ":0\nb: c: d\n",
		"keys: [{name: " + secret + ", sha256: " + secret + ", operations: [" + secret + "], collections: [" + secret + "!], expires: " + secret + ", rate: " + secret + "}]",
		"[" + secret + "]: 1\n", "? {" + secret + ": 1}\n: 2\n", secret + ": 1\n" + secret + ": 2\n", "keys:\n  - {name: a, " + secret + ": 1, " + secret + ": 2}\n",
	} {
		_, err := LoadKeys(write(t, text))
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), secret, text)
	}
}

func TestKeyLimit(t *testing.T) {
	auth := Auth{Rate: 5, Burst: 50}
	for _, tt := range []struct {
		key   Key
		rate  float64
		burst int
	}{
		{Key{}, 5, 50},
		{Key{Rate: new(1.5)}, 1.5, 0},
		{Key{Rate: new(0.0)}, 0, 0},
		{Key{Burst: new(7)}, 5, 7},
		{Key{Rate: new(1.0), Burst: new(2)}, 1, 2},
	} {
		rate, burst := tt.key.Limit(auth)
		require.Equal(t, tt.rate, rate)
		require.Equal(t, tt.burst, burst)
	}
}
