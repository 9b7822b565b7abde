package config

import (
	"path/filepath"
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
		{Name: "gate-1", SHA256: strings.Repeat("a1", 32)},
		{
			Name: "kiosk", SHA256: strings.Repeat("b2", 32),
			Collections: []string{"users", "blacklist"}, Operations: []string{"search", "read"},
			Expires: time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC),
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
		{Name: "a", SHA256: strings.Repeat("0", 64)},
		{Name: "b", SHA256: strings.Repeat("1", 64), Operations: []string{"read"}, Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)},
	}}
	data, err := yaml.Marshal(want)
	require.NoError(t, err)
	require.NotContains(t, string(data), "expires: 0001")
	got, err := LoadKeys(write(t, string(data)))
	require.NoError(t, err)
	require.Equal(t, want, got)
}
