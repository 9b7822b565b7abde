package sqlite

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
)

// FuzzEncryptionKeys: a file of keys is refused, or holds the keys that a plain
// reading of it finds, in that order; what one of them seals the next reading of
// the file opens. An error tells nothing of what could be a key.
func FuzzEncryptionKeys(f *testing.F) {
	for _, text := range []string{
		"", "# none\n", withKeys(1).Key.Reveal(), withKeys(1, 2, 3).Key.Reveal() + "\n", "# a\n" + withKeys(4).Key.Reveal() + " # b\r\n" + withKeys(5).Key.Reveal(),
		withKeys(6, 6).Key.Reveal(), strings.TrimRight(withKeys(7).Key.Reveal(), "="), "short", strings.ReplaceAll(withKeys(0xfb).Key.Reveal(), "+", "-"),
	} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "keys")
	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, os.WriteFile(path, text, 0o600))
		cfg := config.Encryption{KeyFile: path}
		all, err := keys(cfg)
		want, ok := readKeysSlowly(text)
		require.Equal(t, ok, err == nil, "%v", err)
		if err != nil {
			for _, word := range strings.Fields(string(text)) {
				require.False(t, len(word) >= 20 && strings.Contains(err.Error(), word), "the error tells a key")
			}
			return
		}
		again, err := keys(cfg)
		require.NoError(t, err)
		require.Len(t, all, len(want))
		for i, secret := range want {
			k, err := newKey(secret)
			require.NoError(t, err)
			require.Equal(t, k.id, all[i].id)
			opened, err := again[i].aead.Open(nil, nil, all[i].aead.Seal(nil, nil, text, secret), secret)
			require.NoError(t, err)
			require.True(t, bytes.Equal(text, opened))
		}
	})
}

// readKeysSlowly returns the keys of a file as the documentation has it.
func readKeysSlowly(text []byte) (all [][]byte, ok bool) {
	seen := map[string]bool{}
	for line := range strings.SplitSeq(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		for word := range strings.FieldsSeq(line) {
			secret, err := base64.StdEncoding.DecodeString(padded(word))
			if err != nil || len(secret) != 32 || seen[string(secret)] {
				return nil, false
			}
			seen[string(secret)] = true
			all = append(all, secret)
		}
	}
	return all, len(all) > 0 && len(all) <= 64
}

// padded gives a word the one padding that its length has.
func padded(word string) string {
	word = strings.TrimRight(word, "=")
	return word + strings.Repeat("=", (4-len(word)%4)%4)
}
