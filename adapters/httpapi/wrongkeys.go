package httpapi

import (
	"hash/maphash"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"imago/adapters/httpapi/listener"
	"imago/ports"
)

const (
	// wrongKeyBuckets bounds the memory that wrong keys can take, at about 100
	// bytes each, and with wrongKeyRate how many are answered 401 in all.
	wrongKeyBuckets = 4096
	// wrongKeyBurst is how many wrong keys in a row one address may present. It
	// is enough for a gateway whose keys are being replaced.
	wrongKeyBurst = 20
	// wrongKeyRate is how many more it may present, a second.
	wrongKeyRate rate.Limit = 1
)

// wrongKeys limits the rate of wrong keys by the network that they come from. Valid keys
// are neither counted nor refused, so that nobody can lock out a client behind the same
// gateway by presenting wrong ones. It is safe for concurrent use.
//
// The number of buckets is fixed. Two addresses that share one share the
// allowance for wrong keys and nothing else; the seed is random, so that nobody
// can choose whom to share with.
type wrongKeys struct {
	seed    maphash.Seed
	buckets []*rate.Limiter
}

func newWrongKeys() *wrongKeys {
	f := &wrongKeys{seed: maphash.MakeSeed(), buckets: make([]*rate.Limiter, wrongKeyBuckets)}
	for i := range f.buckets {
		f.buckets[i] = rate.NewLimiter(wrongKeyRate, wrongKeyBurst)
	}
	return f
}

// add counts a wrong key. It returns a ports.RateLimited when there have been
// too many, else nil.
func (f *wrongKeys) add(from netip.Addr, now time.Time) error {
	bucket := f.bucket(from)
	if bucket.AllowN(now, 1) {
		return nil
	}
	missing := 1 - bucket.TokensAt(now)
	wait := time.Duration(missing / float64(wrongKeyRate) * float64(time.Second))
	return &ports.RateLimited{After: max(wait, time.Millisecond)}
}

// bucket returns that of an address.
func (f *wrongKeys) bucket(from netip.Addr) *rate.Limiter {
	return f.buckets[maphash.Comparable(f.seed, listener.Network(from))%wrongKeyBuckets]
}
