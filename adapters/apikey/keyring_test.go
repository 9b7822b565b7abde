package apikey

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"imago/config"
	"imago/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const environmentKey = "sixteen-letters!"

var quiet = slog.New(slog.DiscardHandler)

// stanza is a key of a file: one with full access where its scopes are not said.
func stanza(name, hash, more string) string {
	if !strings.Contains(more, "operations:") {
		more += "    collections: [all]\n    operations: [all]\n"
	}
	return fmt.Sprintf("  - name: %s\n    sha256: %s\n%s", name, hash, more)
}

// write replaces a file as careful writers do, and returns its path.
func write(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
	return path
}

// started returns a Keyring over a file and a key from the environment whose
// file is looked at by poll only.
func started(t *testing.T, path, environment string, log *slog.Logger) *Keyring {
	t.Helper()
	k := New(config.Auth{KeysFile: path}, environment, log)
	k.Interval = time.Hour
	require.NoError(t, k.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, k.Close(context.Background())) })
	return k
}

func TestAuthenticate(t *testing.T) {
	full, fullHash := Generate()
	scoped, scopedHash := Generate()
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n"+stanza("full", fullHash, "")+
		stanza("scoped", scopedHash, "    min_threshold: 72.5\n    expires: 2030-01-02T03:04:05Z\n    collections: [blacklist]\n    operations: [search, enrol]\n"))
	k := started(t, path, environmentKey, quiet)
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name, key string
		now       time.Time
		want      string
	}{
		{"full", full, time.Time{}, "full"},
		{"scoped", scoped, expires.Add(-time.Nanosecond), "scoped"},
		{"expired", scoped, expires, ""},
		{"environment", environmentKey, time.Time{}, "env"},
		{"empty", "", time.Time{}, ""},
		{"unknown", "imago_unknown", time.Time{}, ""},
		{"a hash is no key", fullHash, time.Time{}, ""},
		{"prefix", full[:len(full)-1], time.Time{}, ""},
		{"too long", strings.Repeat("x", 513), time.Time{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k.now = func() time.Time { return tt.now }
			c, err := k.Authenticate(tt.key)
			if tt.want == "" {
				require.ErrorIs(t, err, ports.ErrUnauthorized)
				require.Zero(t, c)
				require.True(t, tt.key == "" || !strings.Contains(err.Error(), tt.key))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, c.Name)
		})
	}
	k.now = func() time.Time { return time.Time{} }
	c, err := k.Authenticate(scoped)
	require.NoError(t, err)
	require.Equal(t, ports.Client{
		Name: "scoped", Collections: []string{"blacklist"},
		Operations: []ports.Operation{ports.OpSearch, ports.OpEnrol}, MinThreshold: 72.5, Expires: expires,
	}, c)
}

func TestLongestKey(t *testing.T) {
	longer := strings.Repeat("x", 513)
	hash := sha256.Sum256([]byte(longer))
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n"+stanza("a", hex.EncodeToString(hash[:]), ""))
	k := started(t, path, longer[:512], quiet)
	_, err := k.Authenticate(longer[:512])
	require.NoError(t, err)
	_, err = k.Authenticate(longer)
	require.ErrorIs(t, err, ports.ErrUnauthorized)
}

func TestEnvironmentKeyIsTrimmed(t *testing.T) {
	_, err := started(t, "", environmentKey+"\n", quiet).Authenticate(environmentKey)
	require.NoError(t, err)
}

func TestNoKeyBeforeStart(t *testing.T) {
	_, err := New(config.Auth{}, environmentKey, quiet).Authenticate(environmentKey)
	require.ErrorIs(t, err, ports.ErrUnauthorized)
}

func TestStartFails(t *testing.T) {
	_, hash := Generate()
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		file, environment string
		missing           bool
		want              string
	}{
		"nothing configured": {want: "set IMAGO_API_KEY or auth.keys_file; imago keys new NAME makes a key"},
		"blank key":          {environment: " \n", want: "set IMAGO_API_KEY or auth.keys_file"},
		"short key":          {environment: "fifteen-letters", want: "at least 16"},
		"long key":           {environment: strings.Repeat("x", 513), want: "more than 512"},
		"no file":            {missing: true, environment: environmentKey, want: "no such file"},
		"empty file":         {file: "\n", want: "no list of keys"},
		"no list":            {file: "keys:\n", want: "no list of keys"},
		"bad hash":           {file: "keys:\n" + stanza("a", "abc", ""), want: "sha256"},
		"name taken":         {file: "keys:\n" + stanza("env", hash, ""), environment: environmentKey, want: "another one"},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			if tt.missing {
				path = filepath.Join(dir, "missing")
			} else if tt.file != "" {
				path = write(t, filepath.Join(dir, "keys.yaml"), tt.file)
			}
			k := New(config.Auth{KeysFile: path}, tt.environment, quiet)
			err := k.Start(t.Context())
			require.ErrorContains(t, err, tt.want)
			require.True(t, tt.environment == "" || !strings.Contains(err.Error(), tt.environment))
			require.NoError(t, k.Close(t.Context()))
		})
	}
}

// The name env is an ordinary one where the environment has no key.
func TestNameOfTheEnvironment(t *testing.T) {
	key, hash := Generate()
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n"+stanza("env", hash, ""))
	_, err := started(t, path, "", quiet).Authenticate(key)
	require.NoError(t, err)
}

func TestReload(t *testing.T) {
	oldKey, oldHash := Generate()
	newKey, newHash := Generate()
	good, better := "keys:\n"+stanza("old", oldHash, ""), "keys:\n"+stanza("new", newHash, "")
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), good)
	var log bytes.Buffer
	k := started(t, path, "", slog.New(slog.NewTextHandler(&log, nil)))
	var reloads []error
	k.OnReload(func(err error) { reloads = append(reloads, err) })
	valid := func(key string) bool {
		_, err := k.Authenticate(key)
		return err == nil
	}

	k.Poll()
	require.Empty(t, reloads, "an unchanged file is not read")

	for _, garbage := range []string{"", "keys:", "keys: [", oldKey, "keys:\n  - name: " + newKey + "\n    sha256: " + newKey, good + "\nextra: 1"} {
		log.Reset()
		reloads = nil
		write(t, path, garbage)
		k.Poll()
		k.Poll()
		require.Len(t, reloads, 1, "each change is reported once")
		require.Error(t, reloads[0])
		require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), log.String())
		require.NotContains(t, log.String(), oldKey)
		require.NotContains(t, log.String(), newKey)
		require.True(t, valid(oldKey), "garbage keeps the current keys")
	}

	require.NoError(t, os.Remove(path))
	k.Poll()
	require.True(t, valid(oldKey))

	reloads = nil
	write(t, path, better)
	k.Poll()
	require.Equal(t, []error{nil}, reloads)
	require.False(t, valid(oldKey))
	require.True(t, valid(newKey))

	write(t, path, "keys: []\n")
	k.Poll()
	require.False(t, valid(newKey), "an empty list revokes all")
}

// A file that ended with its end mark is known to be cut short without it, also
// between two keys; one that never had it may have fewer keys.
func TestFileThatLosesItsEnd(t *testing.T) {
	first, firstHash := Generate()
	second, secondHash := Generate()
	head, tail := "keys:\n"+stanza("first", firstHash, ""), stanza("second", secondHash, "")
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), head+tail+"...\n")
	var log bytes.Buffer
	k := started(t, path, "", slog.New(slog.NewTextHandler(&log, nil)))
	valid := func(key string) bool {
		_, err := k.Authenticate(key)
		return err == nil
	}
	write(t, path, head)
	require.ErrorContains(t, k.Reload(), "does not end with the line ...")
	require.True(t, valid(first) && valid(second))
	require.Contains(t, log.String(), "level=ERROR")

	write(t, path, head+"...\n")
	require.NoError(t, k.Reload())
	require.True(t, valid(first) && !valid(second), "revoked in a whole file")

	k = started(t, write(t, path, head+tail), "", quiet)
	write(t, path, head)
	require.NoError(t, k.Reload())
	require.False(t, valid(second))
}

// Whatever an incomplete file says of a key, the current key stays as it is.
func TestIncompleteFileGivesNothing(t *testing.T) {
	reader, hash := Generate()
	only := func(more string) string { return "keys:\n  - name: reader\n    sha256: " + hash + "\n" + more }
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), only("    collections: [blacklist]\n    operations: [read]\n"))
	k := started(t, path, "", quiet)
	before, err := k.Authenticate(reader)
	require.NoError(t, err)
	for _, scopes := range []string{
		"    collections: [blacklist]\n    operations: []\n", "    collections: [blacklist]\n    operations:\n", "    collections: [blacklist]\n    operations: null\n",
		"    collections: [blacklist]\n", "    operations: [read]\n", "    collections: []\n    operations: [read]\n", "    collections:\n    operations: [read]\n", "    expires: 2031-01-01T00:00:00Z\n",
		"    collections: [blacklist]\n    operations: [\"\"]\n", "    collections: [blacklist]\n    operations: [read, all]\n", "    collections: [blacklist]\n    operations: [read]\n    rate: 1\n",
	} {
		write(t, path, only(scopes))
		require.Error(t, k.Reload(), scopes)
		now, err := k.Authenticate(reader)
		require.NoError(t, err)
		require.Equal(t, before, now, scopes)
		require.Equal(t, []string{"blacklist"}, now.Collections)
	}
}

// Mounted secrets change by a symbolic link to another folder, which may leave
// the size and the time of the file as they were.
func TestReloadAcrossSymbolicLinks(t *testing.T) {
	oldKey, oldHash := Generate()
	newKey, newHash := Generate()
	dir, at := t.TempDir(), time.Unix(1_700_000_000, 0)
	for version, hash := range map[string]string{"v1": oldHash, "v2": newHash} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		path := write(t, filepath.Join(dir, version, "keys.yaml"), "keys:\n"+stanza("client", hash, ""))
		require.NoError(t, os.Chtimes(path, at, at))
	}
	require.NoError(t, os.Symlink("v1", filepath.Join(dir, "data")))
	k := started(t, filepath.Join(dir, "data", "keys.yaml"), "", quiet)
	_, err := k.Authenticate(oldKey)
	require.NoError(t, err)

	require.NoError(t, os.Symlink("v2", filepath.Join(dir, "next")))
	require.NoError(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "data")))
	k.Poll()
	_, err = k.Authenticate(oldKey)
	require.ErrorIs(t, err, ports.ErrUnauthorized)
	_, err = k.Authenticate(newKey)
	require.NoError(t, err)
}

// The whole with its goroutine, under fx, while keys are asked for.
func TestModuleWatchesTheFile(t *testing.T) {
	_, oldHash := Generate()
	newKey, newHash := Generate()
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n"+stanza("old", oldHash, ""))
	var k *Keyring
	app := fxtest.New(t, Module, fx.NopLogger,
		fx.Supply(config.Auth{KeysFile: path}, EnvironmentKey(""), quiet), fx.Populate(&k))
	k.Interval = time.Millisecond
	app.RequireStart()
	defer app.RequireStop()
	write(t, path, "keys:\n"+stanza("new", newHash, ""))
	require.Eventually(t, func() bool {
		c, err := k.Authenticate(newKey)
		return err == nil && c.Name == "new"
	}, 30*time.Second, time.Millisecond)
}

func TestGenerate(t *testing.T) {
	key, hash := Generate()
	require.Regexp(t, `^imago_[A-Za-z0-9_-]{43}$`, key)
	require.Regexp(t, `^[0-9a-f]{64}$`, hash)
	other, _ := Generate()
	require.NotEqual(t, key, other)
	k := started(t, "", key, quiet)
	_, err := k.Authenticate(key)
	require.NoError(t, err)
}

func BenchmarkAuthenticate(b *testing.B) {
	var keys []key
	for i := range 1000 {
		keys = append(keys, key{hash: [32]byte{byte(i), byte(i >> 8)}})
	}
	k := New(config.Auth{}, "", quiet)
	k.Set(keyset{keys: keys})
	presented, _ := Generate()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Authenticate(presented); err == nil {
			b.Fatal("authenticated")
		}
	}
}
