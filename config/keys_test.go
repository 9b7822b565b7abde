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
		{Name: "a", SHA256: strings.Repeat("0", 64)},
		{Name: "b", SHA256: strings.Repeat("1", 64), Operations: []string{"read"}, Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Rate: new(0.0)},
	}}
	data, err := yaml.Marshal(want)
	require.NoError(t, err)
	require.NotContains(t, string(data), "expires: 0001")
	got, err := LoadKeys(write(t, string(data)))
	require.NoError(t, err)
	require.Equal(t, want, got)
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
