package token

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// FuzzOpen holds that no text but the sealed ones opens, whatever it looks like.
func FuzzOpen(f *testing.F) {
	o := New(config.Token{KeysFile: writeNew(f, setOf(f)), MaxAge: time.Minute}, imageBytes, quiet)
	o.now = func() time.Time { return noon }
	require.NoError(f, o.Start(f.Context()))
	f.Cleanup(func() { _ = o.Close(context.Background()) })
	for kid := range testKeys() {
		f.Add([]byte(seal(f, kid, noon)))
	}
	f.Add([]byte(direct(f, claims()+`,"zip":"DEF","epk":{"kty":"EC"},"x5c":["AA"],"crit":["x"]`)))
	f.Add([]byte("eyJhbGciOiJub25lIn0...."))
	f.Fuzz(func(t *testing.T, token []byte) {
		before := bytes.Clone(token)
		opened, err := o.Open(t.Context(), token, ports.Purpose{})
		require.Equal(t, before, token, "the token is only read")
		if err == nil {
			require.Equal(t, picture, opened, "a token that nobody sealed was opened")
		} else {
			require.Nil(t, opened)
		}
	})
}

// FuzzKeyset: whatever a file of keys holds, it is refused, or each key of it
// opens what was sealed for it, under a name of its own. What is refused is told
// without the keys.
func FuzzKeyset(f *testing.F) {
	for kid := range testKeys() {
		f.Add([]byte(setOf(f, kid)))
	}
	f.Add([]byte(setOf(f)))
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","kid":"a","alg":"dir","use":"enc","k":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"},null]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"b","alg":"ECDH-ES+A256KW"}],"keys":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := parseKeyset(data)
		if err != nil {
			require.Nil(t, set)
			requireKeysUntold(t, data, err)
			return
		}
		require.LessOrEqual(t, len(set), maxKeys)
		for kid, key := range set {
			require.Equal(t, kid, key.KeyID)
			requireOpens(t, set, key)
		}
	})
}

// requireOpens seals a picture for a key, as whoever has its public part does,
// and opens it.
func requireOpens(t *testing.T, set keyset, key jose.JSONWebKey) {
	key.Key = public(key.Key)
	sealed, err := (&Sealer{key}).Seal(picture, noon, time.Minute, ports.Purpose{})
	require.NoError(t, err)
	c, err := split([]byte(sealed), imageBytes)
	require.NoError(t, err)
	h, err := c.parseHeader()
	require.NoError(t, err)
	found, err := set.find(h)
	require.NoError(t, err)
	opened, err := decrypt([]byte(sealed), c, found)
	require.NoError(t, err)
	require.Equal(t, picture, opened)
}

// requireKeysUntold checks that no secret of a set is in the text of an error.
func requireKeysUntold(t *testing.T, data []byte, err error) {
	var set struct{ Keys []map[string]any }
	_ = json.Unmarshal(data, &set)
	for _, key := range set.Keys {
		for _, member := range []string{"k", "d", "p", "q"} {
			if secret, ok := key[member].(string); ok && len(secret) > 8 {
				require.False(t, strings.Contains(err.Error(), secret), "the error tells %s", member)
			}
		}
	}
}
