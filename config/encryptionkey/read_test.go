package encryptionkey_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config/encryptionkey"
)

const (
	ones = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
	twos = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
)

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(file, []byte("# of spring\n"+twos+" # newest\n\n"+strings.TrimRight(ones, "=")+"\n"), 0o600))
	keys, err := encryptionkey.Read("chips", file, "")
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, byte(2), keys[0][31])
	require.Equal(t, byte(1), keys[1][0])

	keys, err = encryptionkey.Read("chips", "", ones)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	keys, err = encryptionkey.Read("chips", "", "")
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestWhatIsNoKey(t *testing.T) {
	for text, says := range map[string]string{
		"secret":                           "key 1 of chips is not 32 bytes in base64",
		ones + " " + twos[:10]:             "key 2 of chips is not 32 bytes",
		ones + " " + ones:                  "key 2 of chips is a duplicate",
		"# nothing":                        "holds no key",
		strings.Repeat("A", 40) + "!!!!":   "not 32 bytes",
		strings.TrimRight(ones, "=") + "A": "not 32 bytes",
	} {
		_, err := encryptionkey.Read("chips", "", text)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := encryptionkey.Read("chips", filepath.Join(t.TempDir(), "none"), "")
	require.ErrorContains(t, err, "chips.key_file: ")
}
