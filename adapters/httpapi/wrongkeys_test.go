package httpapi

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// address reads an address; unix is that of a socket.
func address(text string) netip.Addr {
	addr, _ := netip.ParseAddr(text)
	return addr
}

// apart returns wrongKeys in which no two of the addresses share a bucket.
func apart(addresses ...string) *wrongKeys {
	for {
		f, taken := newWrongKeys(), map[any]bool{}
		for _, a := range addresses {
			taken[f.bucket(address(a))] = true
		}
		if len(taken) == len(addresses) {
			return f
		}
	}
}

// refusedAfter counts the wrong keys of an address that are not refused yet.
func refusedAfter(t *testing.T, f *wrongKeys, from string, now time.Time) (n int, wait time.Duration) {
	t.Helper()
	for ; ; n++ {
		require.LessOrEqual(t, n, wrongKeyBurst)
		err := f.add(address(from), now)
		if err == nil {
			continue
		}
		require.ErrorIs(t, err, ports.ErrRateLimited)
		var limited *ports.RateLimited
		require.ErrorAs(t, err, &limited)
		return n, limited.After
	}
}

func TestWrongKeysByAddress(t *testing.T) {
	f, now := apart("192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1", "unix"), time.Unix(1_700_000_000, 0)
	for _, step := range []struct {
		from string
		want int
	}{
		{"192.0.2.1", wrongKeyBurst},
		{"192.0.2.1", 0},
		{"192.0.2.2", wrongKeyBurst},
		{"2001:db8:0:1::1", wrongKeyBurst},
		{"2001:db8:0:1:ffff::2", 0}, // the same client, for all we know
		{"2001:db8:0:2::1", wrongKeyBurst},
		{"unix", wrongKeyBurst},
		{"unix", 0},
	} {
		n, wait := refusedAfter(t, f, step.from, now)
		require.Equal(t, step.want, n, step.from)
		require.Equal(t, time.Second, wait, step.from)
	}
	n, _ := refusedAfter(t, f, "192.0.2.1", now.Add(3*time.Second))
	require.Equal(t, 3, n, "one a second is allowed again")
}

// However many addresses present wrong keys, the memory is that of the start.
func TestWrongKeysAreBounded(t *testing.T) {
	f, now := newWrongKeys(), time.Unix(1_700_000_000, 0)
	addr, allowed := netip.MustParseAddr("10.0.0.0"), 0
	for range 200_000 {
		if f.add(addr, now) == nil {
			allowed++
		}
		addr = addr.Next()
	}
	require.Len(t, f.buckets, wrongKeyBuckets)
	require.LessOrEqual(t, allowed, wrongKeyBuckets*wrongKeyBurst, "and so is what all of them may try")
}

func BenchmarkWrongKeys(b *testing.B) {
	f, now, addr := newWrongKeys(), time.Now(), netip.MustParseAddr("2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		_ = f.add(addr, now)
	}
}
