package httpapi

import (
	"hash/maphash"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"imago/ports"
)

const (
	// failureBuckets bounds the memory that wrong keys can take, at about 100
	// bytes each, and with failureRate how many are answered 401 in all.
	failureBuckets = 4096
	// failureBurst is how many wrong keys in a row one address may present. It
	// has room for a gateway whose keys are being exchanged.
	failureBurst = 20
	// failureRate is how many more it may present, a second.
	failureRate rate.Limit = 1
)

// failures counts the wrong keys by the address that they come from. Only they
// are counted and only they are refused, so that nobody can lock out a client
// behind the same gateway by presenting wrong keys. It is safe for concurrent
// use.
//
// The number of buckets is fixed. Two addresses that share one share the
// allowance for wrong keys and nothing else; the seed is random, so that nobody
// can choose whom to share with.
type failures struct {
	seed    maphash.Seed
	buckets []*rate.Limiter
}

func newFailures() *failures {
	f := &failures{seed: maphash.MakeSeed(), buckets: make([]*rate.Limiter, failureBuckets)}
	for i := range f.buckets {
		f.buckets[i] = rate.NewLimiter(failureRate, failureBurst)
	}
	return f
}

// add counts a wrong key. It returns a ports.RateLimited when there have been
// too many, else nil.
func (f *failures) add(from netip.Addr, now time.Time) error {
	bucket := f.bucket(from)
	if bucket.AllowN(now, 1) {
		return nil
	}
	missing := 1 - bucket.TokensAt(now)
	wait := time.Duration(missing / float64(failureRate) * float64(time.Second))
	return &ports.RateLimited{After: max(wait, time.Millisecond)}
}

// bucket returns that of an address.
func (f *failures) bucket(from netip.Addr) *rate.Limiter {
	return f.buckets[maphash.Comparable(f.seed, neighbourhood(from))%failureBuckets]
}

// neighbourhood is what one client has at its disposal: an address of IPv4 or a
// network of 64 bits of IPv6 (RFC 6177).
func neighbourhood(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // a Unix socket
	}
	return prefix
}
