package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/cmd/imago/cli"
	"imago/config"
)

// keysFile writes stanzas that `imago keys new` printed and returns the path.
func keysFile(t *testing.T, stanzas ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	require.NoError(t, os.WriteFile(path, []byte("keys:\n"+strings.Join(stanzas, "")), 0o600))
	return path
}

// made runs `imago keys new` and returns the key and its stanza.
func made(t *testing.T, args ...string) (key, stanza string) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"keys", "new"}, args...))
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	first, _, _ := strings.Cut(out.String(), "\n")
	_, stanza, found := strings.Cut(out.String(), "  - name: ")
	require.True(t, found)
	return strings.TrimPrefix(first, "key: "), "  - name: " + stanza
}

func TestNewKeyHasWhatTheFlagsSay(t *testing.T) {
	_, plain := made(t, "plain")
	_, scoped := made(t, "scoped", "--operations", "search,read", "--collections", "users,blacklist",
		"--expires", "2030-01-31T00:00:00Z", "--rate", "0.5", "--burst", "3")
	_, free := made(t, "free", "--rate", "0")
	keys, err := config.LoadKeys(keysFile(t, plain, scoped, free))
	require.NoError(t, err)
	for i := range keys.Keys {
		require.Len(t, keys.Keys[i].SHA256, 1)
		require.Len(t, keys.Keys[i].SHA256[0].Hash, 64)
		keys.Keys[i].SHA256 = nil
	}
	require.Equal(t, []config.Key{
		{Name: "plain", Operations: []string{"all"}, Collections: []string{"all"}},
		{
			Name: "scoped", Operations: []string{"search", "read"}, Collections: []string{"users", "blacklist"},
			Expires: time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC), Rate: new(0.5), Burst: new(3),
		},
		{Name: "free", Operations: []string{"all"}, Collections: []string{"all"}, Rate: new(0.0)},
	}, keys.Keys)
}

func TestNewKeyRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"a b"}, {"a", "--operations", "delete"}, {"a", "--collections", "VIP"}, {"a", "--expires", "tomorrow"},
		{"a", "--operations", ""}, {"a", "--operations="}, {"a", "--operations", ","}, {"a", "--operations", " "}, {"a", "--operations", "all,read"},
		{"a", "--collections", ""}, {"a", "--collections", "users,"}, {"a", "--collections", "all,users"}, {"a", "--expires", ""}, {""},
		{"a", "--rate", "-1"}, {"a", "--rate", "many"}, {"a", "--burst", "-1"}, {}, {"a", "b"},
	} {
		cmd := root()
		cmd.SetOut(new(bytes.Buffer))
		cmd.SetArgs(append([]string{"keys", "new"}, args...))
		require.ErrorIs(t, cmd.ExecuteContext(t.Context()), cli.ErrUsage, args)
	}
}

func TestListKeys(t *testing.T) {
	now := time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC)
	secret, plain := made(t, "plain")
	_, scoped := made(t, "scoped", "--operations", "search,read", "--collections", "users", "--expires", "2030-01-31T00:00:01Z", "--rate", "0.5")
	_, old := made(t, "old", "--expires", "2030-01-31T00:00:00Z")
	path := keysFile(t, plain, scoped, old)
	keys, err := config.LoadKeys(path)
	require.NoError(t, err)

	var out bytes.Buffer
	require.NoError(t, listKeys(&out, keys, config.Auth{KeysFile: path, Rate: 5, Burst: 10}, true, now, "text"))
	var got [][]string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Fields(line))
	}
	print := func(i int) string { return keys.Keys[i].SHA256[0].Hash[:8] }
	require.Equal(t, [][]string{
		{"NAME", "FINGERPRINT", "COLLECTIONS", "OPERATIONS", "RATE", "EXPIRES"},
		{"env", "(IMAGO_API_KEY)", "all", "all", "5/s,", "burst", "10", "never"},
		{"plain", print(0), "all", "all", "5/s,", "burst", "10", "never"},
		{"scoped", print(1), "users", "search,read", "0.5/s", "2030-01-31T00:00:01Z"},
		{"old", print(2), "all", "all", "5/s,", "burst", "10", "2030-01-31T00:00:00Z", "(expired)"},
	}, got)
	for i := range keys.Keys {
		require.NotContains(t, out.String(), keys.Keys[i].SHA256[0].Hash[:9])
	}
	require.NotContains(t, out.String(), secret)
}

func TestListKeysWithoutKeys(t *testing.T) {
	for _, auth := range []config.Auth{{}, {KeysFile: keysFile(t, "garbage")}} {
		_, err := readKeys(auth, false)
		require.ErrorIs(t, err, cli.ErrUsage)
	}
	keys, err := readKeys(config.Auth{}, true)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, listKeys(&out, keys, config.Auth{}, true, time.Now(), "text"))
	require.Contains(t, out.String(), "any")
}

// What `keys new --add` prints replaces the client's entry and gives it both keys; the
// list shows each with its own expiry.
func TestAddKey(t *testing.T) {
	_, gate := made(t, "gate", "--collections", "users", "--rate", "2")
	path := keysFile(t, gate)
	t.Setenv("IMAGO_AUTH_KEYS_FILE", path)
	_, both := made(t, "gate", "--add", "--expires", "2030-01-31T00:00:00Z")
	old, err := config.LoadKeys(path)
	require.NoError(t, err)
	keys, err := config.LoadKeys(keysFile(t, both))
	require.NoError(t, err)
	require.Len(t, keys.Keys, 1)
	require.Len(t, keys.Keys[0].SHA256, 2)
	require.Equal(t, old.Keys[0].SHA256[0], keys.Keys[0].SHA256[0])
	require.Equal(t, time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC), keys.Keys[0].SHA256[1].Expires)
	added := keys.Keys[0].SHA256
	keys.Keys[0].SHA256 = old.Keys[0].SHA256
	require.Equal(t, old, keys, "nothing else changes")
	keys.Keys[0].SHA256 = added

	var out bytes.Buffer
	require.NoError(t, listKeys(&out, keys, config.Auth{}, false, time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC), "text"))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	require.Contains(t, lines[1], added[0].Hash[:8])
	require.Contains(t, lines[1], "never")
	require.Contains(t, lines[2], added[1].Hash[:8])
	require.Contains(t, lines[2], "(expired)")

	for _, args := range [][]string{{"nobody", "--add"}, {"gate", "--add", "--rate", "3"}, {"gate", "--add", "--collections", "all"}, {"gate", "--add", "--expires", "soon"}} {
		cmd := root()
		cmd.SetOut(new(bytes.Buffer))
		cmd.SetErr(new(bytes.Buffer))
		cmd.SetArgs(append([]string{"keys", "new"}, args...))
		require.Error(t, cmd.ExecuteContext(t.Context()), args)
	}
}

// A collection that the configuration lacks, most likely misspelt, is warned of wherever
// keys are made, listed or checked.
func TestKeyForACollectionThatDoesNotExist(t *testing.T) {
	warned := func(args ...string) string {
		var errs bytes.Buffer
		cmd := root()
		cmd.SetOut(new(bytes.Buffer))
		cmd.SetErr(&errs)
		cmd.SetArgs(args)
		_ = cmd.ExecuteContext(t.Context()) // check fails without models
		return errs.String()
	}
	const warning = "there is no collection blaklist in the configuration, which has users, blacklist, whitelist"
	require.NotContains(t, warned("keys", "new", "desk", "--collections", "users,blacklist"), "warning")
	require.Contains(t, warned("keys", "new", "desk", "--collections", "users,blaklist"), warning)
	_, desk := made(t, "desk", "--collections", "users,blaklist")
	t.Setenv("IMAGO_AUTH_KEYS_FILE", keysFile(t, desk))
	require.Contains(t, warned("keys", "new", "desk"), "imago keys new desk --add")
	require.Contains(t, warned("keys", "list"), "key desk: "+warning)
	cfg := config.Default()
	cfg.Auth.KeysFile = os.Getenv("IMAGO_AUTH_KEYS_FILE")
	require.Contains(t, strings.Join(configWarnings(cfg), "\n"), "key desk: "+warning, "of check and serve")
}
