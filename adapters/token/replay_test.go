package token

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func TestTokensOpenOnce(t *testing.T) {
	o := started(t, settings(writeNew(t, setOf(t))), quiet)
	for kid := range testKeys() {
		once := seal(t, kid, noon)
		o.opens(t, once)
		o.refuses(t, Replayed, once)
	}
	// The jti counts, not the text.
	same := fmt.Sprintf(`,"iat":%d,"jti":"same"`, noon.Unix())
	o.opens(t, direct(t, same))
	o.refuses(t, Replayed, direct(t, same))
	o.opens(t, forge(t, `{"alg":"dir","enc":"A256GCM","kid":"direct2"`+same+`}`, testKeys()["direct2"].Key.([]byte), nil, picture))
}

// Whoever has no key cannot spend the tokens of others.
func TestForgedTokensSpendNothing(t *testing.T) {
	o := started(t, settings(writeNew(t, setOf(t))), quiet)
	same := fmt.Sprintf(`,"iat":%d,"jti":"same"`, noon.Unix())
	forged := forge(t, `{"alg":"dir","enc":"A256GCM","kid":"direct"`+same+`}`, make([]byte, 32), nil, picture)
	o.refuses(t, Undecryptable, forged)
	o.opens(t, direct(t, same))
}

func TestRepeatedTokensAreAcceptedWhereThatIsConfigured(t *testing.T) {
	cfg := settings(writeNew(t, setOf(t)))
	cfg.ReplayCache = 0
	o := started(t, cfg, quiet)
	again := direct(t, fmt.Sprintf(`,"iat":%d`, noon.Unix()))
	o.opens(t, again)
	o.opens(t, again)
}

// A token is remembered as long as it could be used, through the whole
// allowance for clocks, and no longer.
func TestTokensAreForgottenWhenTheyHaveExpired(t *testing.T) {
	cfg := settings(writeNew(t, setOf(t)))
	cfg.ReplayCache = 2
	o := started(t, cfg, quiet)
	now := noon
	o.now = func() time.Time { return now }
	early, late := seal(t, "direct", noon), seal(t, "direct", noon.Add(4*time.Second))
	o.opens(t, early)
	o.opens(t, late)
	o.refuses(t, CacheFull, seal(t, "direct", noon))
	o.refuses(t, Replayed, early)

	now = noon.Add(65*time.Second - time.Millisecond)
	o.refuses(t, Replayed, early)
	o.refuses(t, CacheFull, seal(t, "direct", now))
	now = noon.Add(65 * time.Second)
	o.refuses(t, Expired, early)
	o.opens(t, seal(t, "direct", now))
	o.refuses(t, Replayed, late)
	require.Len(t, o.used.seen, 2)
	require.Len(t, o.used.expiries, 2)
}

func TestOneOfManyConcurrentOpeningsWins(t *testing.T) {
	o := New(settings(writeNew(t, setOf(t))), imageBytes, quiet)
	o.now = func() time.Time { return noon }
	var won, lost atomic.Int32
	o.OnRefused(func(reason string) {
		if reason == string(Replayed) {
			lost.Add(1)
		}
	})
	require.NoError(t, o.Start(t.Context()))
	t.Cleanup(func() { _ = o.Close(t.Context()) })
	once := []byte(seal(t, "ec", noon))
	var all sync.WaitGroup
	const callers = 32
	for range callers {
		all.Go(func() {
			if _, err := o.Open(t.Context(), once, ports.Purpose{}); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, won.Load())
	require.EqualValues(t, callers-1, lost.Load())
}

// BenchmarkReplayCache remembers tokens in a cache that is full of those that
// are expiring: each addition forgets one. It reports the memory of an entry.
func BenchmarkReplayCache(b *testing.B) {
	c := newReplayCache(262144)
	at := noon
	n := 0
	add := func() {
		n++
		at = at.Add(time.Millisecond)
		id := tokenID{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
		if err := c.add(id, at.Add(262144*time.Millisecond), at); err != nil {
			b.Fatal(err)
		}
	}
	for range 262144 {
		add()
	}
	b.ReportAllocs()
	for b.Loop() {
		add()
	}
}
