package apikey

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

// limited returns a Keyring with default limits over a file, and its clock.
func limited(t *testing.T, cfg config.Auth, environment string) (*Keyring, *clock) {
	t.Helper()
	c := &clock{time.Unix(1_700_000_000, 0)}
	k := New(cfg, environment, quiet)
	k.Interval, k.now = time.Hour, c.read
	require.NoError(t, k.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, k.Close(context.Background())) })
	return k, c
}

// allowed counts the calls in a row that a key's rate allows, at most 1000, and
// returns how long the next one has to wait.
func allowed(t *testing.T, k *Keyring, key string) (calls int, wait time.Duration) {
	t.Helper()
	for calls < 1000 {
		client, err := k.Authenticate(key)
		require.NotEmpty(t, client.Name, "the client is known all the same")
		if err != nil {
			require.ErrorIs(t, err, ports.ErrRateLimited)
			var limited *ports.RateLimited
			require.ErrorAs(t, err, &limited)
			return calls, limited.After
		}
		calls++
	}
	return calls, 0
}

func TestRatePerKey(t *testing.T) {
	names := []string{"default", "own", "free", "burst", "slow"}
	own := map[string]string{
		"default": "", "own": "    rate: 4\n", "free": "    rate: 0\n", "burst": "    burst: 7\n", "slow": "    rate: 0.25\n",
	}
	secrets, file := map[string]string{}, "keys:\n"
	for _, name := range names {
		secret, hash := Generate()
		secrets[name], file = secret, file+stanza(name, hash, own[name])
	}
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), file)
	k, c := limited(t, config.Auth{KeysFile: path, Rate: 2, Burst: 3}, environmentKey)
	secrets["env"] = environmentKey
	for name, tt := range map[string]struct {
		burst       int
		wait        time.Duration
		afterSecond int
	}{
		"default": {3, 500 * time.Millisecond, 2},
		"own":     {4, 250 * time.Millisecond, 4},
		"free":    {1000, 0, 1000},
		"burst":   {7, 500 * time.Millisecond, 2},
		"slow":    {1, 4 * time.Second, 0},
		"env":     {3, 500 * time.Millisecond, 2},
	} {
		t.Run(name, func(t *testing.T) {
			calls, wait := allowed(t, k, secrets[name])
			require.Equal(t, tt.burst, calls)
			require.InDelta(t, tt.wait, wait, float64(time.Millisecond))
			if tt.wait > 0 {
				c.now = c.now.Add(wait)
				calls, _ = allowed(t, k, secrets[name])
				require.Equal(t, 1, calls, "who waits as told is served")
			}
			c.now = c.now.Add(time.Second)
			calls, _ = allowed(t, k, secrets[name])
			require.Equal(t, tt.afterSecond, calls)
		})
	}
}

// Writing the file again gives nobody a full bucket, a new rate does.
func TestBudgetsOutliveReloads(t *testing.T) {
	secret, hash := Generate()
	text := "keys:\n" + stanza("client", hash, "    rate: 2\n")
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), text)
	k, _ := limited(t, config.Auth{KeysFile: path}, "")
	calls, _ := allowed(t, k, secret)
	require.Equal(t, 2, calls)

	require.NoError(t, k.Reload())
	calls, _ = allowed(t, k, secret)
	require.Zero(t, calls)

	write(t, path, "keys:\n"+stanza("client", hash, "    rate: 5\n"))
	require.NoError(t, k.Reload())
	calls, _ = allowed(t, k, secret)
	require.Equal(t, 5, calls)
}

// What is shown for a wrong key takes nothing from the right one.
func TestWrongKeysCostNoBudget(t *testing.T) {
	k, _ := limited(t, config.Auth{Rate: 1, Burst: 5}, environmentKey)
	for i := range 100 {
		_, err := k.Authenticate(fmt.Sprintf("%s%d", environmentKey, i))
		require.ErrorIs(t, err, ports.ErrUnauthorized)
	}
	calls, _ := allowed(t, k, environmentKey)
	require.Equal(t, 5, calls)
}

func TestReloadOnDemand(t *testing.T) {
	oldKey, oldHash := Generate()
	newKey, newHash := Generate()
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n"+stanza("old", oldHash, ""))
	k := started(t, path, "", quiet)
	var told []error
	k.OnReload(func(err error) { told = append(told, err) })

	require.NoError(t, k.Reload(), "an unchanged file too")
	require.Equal(t, []error{nil}, told)

	write(t, path, "garbage")
	require.Error(t, k.Reload())
	k.Poll()
	require.Len(t, told, 2, "the next look at the file does not report it again")
	require.Error(t, told[1])
	_, err := k.Authenticate(oldKey)
	require.NoError(t, err)

	write(t, path, "keys:\n"+stanza("new", newHash, ""))
	require.NoError(t, k.Reload())
	_, err = k.Authenticate(oldKey)
	require.ErrorIs(t, err, ports.ErrUnauthorized)
	_, err = k.Authenticate(newKey)
	require.NoError(t, err)
	require.NoError(t, started(t, "", environmentKey, quiet).Reload(), "nothing to read")
}

// Keys are valid at every moment while the file is read again and again.
func TestReloadUnderLoad(t *testing.T) {
	secret, hash := Generate()
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n"+stanza("client", hash, ""))
	k := started(t, path, "", quiet)
	var refused atomic.Int64
	var callers, reloads sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		callers.Go(func() {
			for {
				if _, err := k.Authenticate(secret); err != nil {
					refused.Add(1)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	failures := make([]error, 4)
	for i := range failures {
		reloads.Go(func() {
			for range 25 {
				failures[i] = errors.Join(failures[i], k.Reload())
				k.Poll()
			}
		})
	}
	reloads.Wait()
	close(done)
	callers.Wait()
	require.NoError(t, errors.Join(failures...))
	require.Zero(t, refused.Load())
}

// A call that turns out to be worth several is paid for before the next, also when it
// is worth more than can be made at once.
func TestCostlyCalls(t *testing.T) {
	secret, hash := Generate()
	free, freeHash := Generate()
	path := write(t, filepath.Join(t.TempDir(), "keys.yaml"), "keys:\n"+stanza("costly", hash, "    rate: 2\n    burst: 3\n")+stanza("free", freeHash, "    rate: 0\n"))
	k, c := limited(t, config.Auth{KeysFile: path}, "")
	_, err := k.Authenticate(secret)
	require.NoError(t, err)
	k.Charge("costly", 1)
	calls, _ := allowed(t, k, secret)
	require.Equal(t, 1, calls, "one of three is left")

	k.Charge("costly", 18)
	calls, wait := allowed(t, k, secret)
	require.Zero(t, calls)
	require.InDelta(t, 9500*time.Millisecond, wait, float64(time.Millisecond))
	c.now = c.now.Add(wait)
	calls, _ = allowed(t, k, secret)
	require.Equal(t, 1, calls)

	k.Charge("free", 1000)
	k.Charge("nobody", 1)
	calls, _ = allowed(t, k, free)
	require.Equal(t, 1000, calls)
	New(config.Auth{}, environmentKey, quiet).Charge("early", 1)
}
