package apikey

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// A client with two keys is one client: one owner, one rate, and each key ends at its own
// time or with the client's.
func TestSeveralKeysOfOneClient(t *testing.T) {
	first, firstHash := Generate()
	second, secondHash := Generate()
	now := time.Unix(1_700_000_000, 0).UTC()
	at := func(after time.Duration) string { return now.Add(after).Format(time.RFC3339) }
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n  - name: gate\n    expires: "+at(3*time.Hour)+"\n    sha256:\n"+
		"      - "+firstHash+"\n      - {hash: "+secondHash+", expires: "+at(time.Hour)+"}\n"+
		"    rate: 1\n    burst: 3\n    collections: [all]\n    operations: [all]\n")
	k, c := limited(t, config.Auth{KeysFile: path}, "")

	a, err := k.Authenticate(first)
	require.NoError(t, err)
	b, err := k.Authenticate(second)
	require.NoError(t, err)
	require.Equal(t, "gate", a.Name)
	require.Equal(t, now.Add(3*time.Hour), a.Expires.UTC())
	require.Equal(t, now.Add(time.Hour), b.Expires.UTC())
	a.Expires, b.Expires = time.Time{}, time.Time{}
	require.Equal(t, a, b)

	k.Charge("gate", 1)
	for _, key := range []string{first, second} {
		_, err = k.Authenticate(key)
		var limit *ports.RateLimited
		require.ErrorAs(t, err, &limit, "the third call was charged to both")
		require.Equal(t, time.Second, limit.After)
	}
	require.NoError(t, k.Reload())
	_, err = k.Authenticate(second)
	require.Error(t, err, "a reload refills nothing")

	c.now = c.now.Add(time.Hour)
	_, err = k.Authenticate(second)
	require.ErrorIs(t, err, ports.ErrUnauthorized)
	_, err = k.Authenticate(first)
	require.NoError(t, err)
	c.now = c.now.Add(2 * time.Hour)
	_, err = k.Authenticate(first)
	require.ErrorIs(t, err, ports.ErrUnauthorized)
}

// One key is one client: that of the environment cannot stand in the file too.
func TestEnvironmentKeyInTheFile(t *testing.T) {
	secret, hash := Generate()
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n"+stanza("gate", hash, ""))
	err := New(config.Auth{KeysFile: path}, secret, quiet).Start(t.Context())
	require.ErrorContains(t, err, `the key of "gate" is that of IMAGO_API_KEY too`)
	require.NotContains(t, err.Error(), secret)
}
