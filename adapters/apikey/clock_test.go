package apikey

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// Setting the clock neither gives a client more calls nor takes them away, and
// locks no key out but those that it shows as expired, and for no longer.
func TestRateWhenTheClockLeaps(t *testing.T) {
	secret, hash := Generate()
	brief, briefHash := Generate()
	start := time.Now()
	file := "keys:\n" + stanza("steady", hash, "    rate: 1\n    burst: 5\n") +
		stanza("brief", briefHash, "    rate: 0\n    expires: "+start.Add(time.Hour).UTC().Format(time.RFC3339)+"\n")
	k, c := limited(t, config.Auth{KeysFile: write(t, filepath.Join(t.TempDir(), "keys.yaml"), file)}, "")
	c.now = start
	calls, _ := allowed(t, k, secret)
	require.Equal(t, 5, calls)
	for _, by := range []time.Duration{3 * time.Hour, -3 * time.Hour} {
		c.now = fixture.Leap(start, by)
		calls, wait := allowed(t, k, secret)
		require.Zero(t, calls, "a clock that was set by %v gives calls", by)
		require.InDelta(t, time.Second, wait, float64(time.Millisecond))
		_, err := k.Authenticate(brief)
		if by > 0 {
			require.ErrorIs(t, err, ports.ErrUnauthorized)
		} else {
			require.NoError(t, err)
		}
		c.now = c.now.Add(time.Second)
		calls, _ = allowed(t, k, secret)
		require.Equal(t, 1, calls, "a second has passed")
		start = start.Add(time.Second)
	}
	c.now = start
	_, err := k.Authenticate(brief)
	require.NoError(t, err, "the clock is right again")
}
