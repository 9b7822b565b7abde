package gallery

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"imago/core/calibration"
	"imago/ports"
)

// Measurement is what is known of the network whose vectors the store holds,
// for Assess to tell.
type Measurement struct {
	Model       string
	Basis       string // the pictures that curve and rates come from
	Provisional bool   // the curve was not fitted to rates
	Rates       calibration.Rates
}

// countLimit bounds counting a collection.
const countLimit = 2 * time.Second

// Assess says what a threshold in percent means in a collection. The number of
// users is at most maxAge old: counting is cheap in memory and is not where a
// server has to count rows. Where others are counting already, an older number
// has to do.
//
// A search compares with every face, and counts here as one comparison with
// every user: comparisons of one picture with several faces of one person are
// nearly the same comparison. Where users have f faces each, the chance of a
// false match is between the one that is told and that of f times the users.
//
// How many users a shared collection has is told as a power of ten only, at least 100
// and never too few: more would count what other clients enrol.
//
// Errors: ErrNotFound for an unknown collection; a Refusal for a threshold that
// is none; those of counting.
func (g *Gallery) Assess(ctx context.Context, collection string, threshold float64, maxAge time.Duration) (ports.Assessment, error) {
	if _, err := g.collection(collection); err != nil {
		return ports.Assessment{}, err
	}
	if err := checkThreshold(threshold); err != nil {
		return ports.Assessment{}, err
	}
	users, err := g.sizes[collection].get(maxAge, g.now, func() (int, error) {
		ctx, cancel := context.WithTimeout(ctx, countLimit)
		defer cancel()
		return g.store.Count(ctx, collection)
	})
	if err != nil {
		return ports.Assessment{}, err
	}
	if g.collections[collection].Shared {
		users = rounded(users)
	}
	cosine := g.curve.Cosine(threshold)
	a := ports.Assessment{
		Collection: collection, Threshold: threshold, Cosine: cosine, Users: users,
		Model: g.measured.Model, Basis: g.measured.Basis, Provisional: g.measured.Provisional,
	}
	if rate, known := g.measured.Rates.At(cosine); known {
		a.Measured = &ports.FalseMatches{Rate: rate, Chance: calibration.Among(users, rate)}
	}
	return a, nil
}

// rounded returns the power of ten that a number of users does not exceed.
func rounded(users int) int {
	power := 100
	for power < users {
		power *= 10
	}
	return power
}

func checkThreshold(percent float64) error {
	if math.IsNaN(percent) || percent < 0 || percent > 100 {
		return refuse("threshold must be a number from 0 to 100")
	}
	return nil
}

// size remembers the number of users of a collection, or that it could not be
// counted. It is safe for concurrent use.
type size struct {
	counting atomic.Bool // somebody is bringing it up to date

	mu      sync.Mutex
	users   int
	failure error
	counted time.Time // zero for never
}

// errCounting answers who would rather not wait, while nothing is known yet.
var errCounting = fmt.Errorf("gallery: %w: the users are being counted", ports.ErrUnavailable)

// get returns what is known if it is young enough, and otherwise counts. With a
// maxAge one caller counts at a time, and a failure is as good as a number: a
// store that cannot count must not be asked at every search.
func (s *size) get(maxAge time.Duration, now func() time.Time, count func() (int, error)) (int, error) {
	if maxAge > 0 {
		users, counted, failure := s.last()
		if !counted.IsZero() && now().Sub(counted) <= maxAge {
			return users, failure
		}
		if !s.counting.CompareAndSwap(false, true) {
			if counted.IsZero() {
				failure = errCounting
			}
			return users, failure
		}
		defer s.counting.Store(false)
	}
	began := now()
	users, err := count()
	// That a caller has left says nothing of the store.
	if errors.Is(err, context.Canceled) {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users, s.failure, s.counted = users, err, began
	return users, err
}

func (s *size) last() (users int, counted time.Time, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users, s.counted, s.failure
}
