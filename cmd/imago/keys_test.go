package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
		require.Len(t, keys.Keys[i].SHA256, 64)
		keys.Keys[i].SHA256 = ""
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
		require.ErrorAs(t, cmd.ExecuteContext(t.Context()), new(usageError), args)
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
	require.NoError(t, listKeys(&out, config.Auth{KeysFile: path, Rate: 5, Burst: 10}, true, now, "text"))
	var got [][]string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Fields(line))
	}
	print := func(i int) string { return keys.Keys[i].SHA256[:8] }
	require.Equal(t, [][]string{
		{"NAME", "FINGERPRINT", "COLLECTIONS", "OPERATIONS", "RATE", "EXPIRES"},
		{"env", "(IMAGO_API_KEY)", "all", "all", "5/s,", "burst", "10", "never"},
		{"plain", print(0), "all", "all", "5/s,", "burst", "10", "never"},
		{"scoped", print(1), "users", "search,read", "0.5/s", "2030-01-31T00:00:01Z"},
		{"old", print(2), "all", "all", "5/s,", "burst", "10", "2030-01-31T00:00:00Z", "(expired)"},
	}, got)
	for i := range keys.Keys {
		require.NotContains(t, out.String(), keys.Keys[i].SHA256[:9])
	}
	require.NotContains(t, out.String(), secret)
}

func TestListKeysWithoutKeys(t *testing.T) {
	var out bytes.Buffer
	require.ErrorAs(t, listKeys(&out, config.Auth{}, false, time.Now(), "text"), new(usageError))
	require.ErrorAs(t, listKeys(&out, config.Auth{KeysFile: keysFile(t, "garbage")}, false, time.Now(), "text"), new(usageError))
	require.Empty(t, out.String())
	require.NoError(t, listKeys(&out, config.Auth{}, true, time.Now(), "text"))
	require.Contains(t, out.String(), "any")
}
