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

// Measurement is what is known of the network whose vectors the store holds.
type Measurement struct {
	Model       string
	Basis       string // the pictures that curve and rates come from
	Provisional bool   // the curve was not fitted to rates
	Rates       calibration.Rates
}

// Assessment says what a threshold means in a collection of a certain size.
type Assessment struct {
	Collection string
	Threshold  float64 // similarity in percent
	Cosine     float64 // the same as cosine similarity
	// Users is the number of users in the collection, with each of whom a
	// search compares.
	Users int
	// Measured is nil where no error rates of the network are known.
	Measured *calibration.FalseMatches
	// Model names the network and Basis the pictures that its curve and rates
	// come from. Provisional means that the curve was not fitted to rates.
	Model, Basis string
	Provisional  bool
}

// countLimit is how long counting a collection may take.
const countLimit = 2 * time.Second

// Assess says what a threshold in percent means in a collection. The number of
// users is at most maxAge old, because a server takes long to count rows; while another
// call is counting them, an older number is used.
//
// A search compares with every face, but counts here as one comparison with every user.
// If users have f faces each, the true chance of a false match is between the one returned
// and that for f times as many users, nearer to the latter: 3 times the rate was measured
// for 4 faces (BenchmarkSeveralFaces).
//
// The number of users of a shared collection is rounded up to a power of ten, at least
// 100, so that a client cannot count what others enrol.
//
// Errors: ErrNotFound for an unknown collection; a Refusal for an invalid threshold;
// those of counting.
func (g *Gallery) Assess(ctx context.Context, collection string, threshold float64, maxAge time.Duration) (Assessment, error) {
	if _, err := g.collection(collection); err != nil {
		return Assessment{}, err
	}
	if err := CheckThreshold(threshold); err != nil {
		return Assessment{}, err
	}
	users, err := g.sizes[collection].get(maxAge, g.options.Now, func() (int, error) {
		ctx, cancel := context.WithTimeout(ctx, countLimit)
		defer cancel()
		return g.store.Count(ctx, collection)
	})
	if err != nil {
		return Assessment{}, err
	}
	if g.collections[collection].Shared {
		users = rounded(users)
	}
	cosine := g.options.Curve.Cosine(threshold)
	a := Assessment{
		Collection: collection, Threshold: threshold, Cosine: cosine, Users: users,
		Model: g.options.Measured.Model, Basis: g.options.Measured.Basis, Provisional: g.options.Measured.Provisional,
	}
	if rate, known := g.options.Measured.Rates.At(cosine); known {
		a.Measured = &calibration.FalseMatches{Rate: rate, Chance: calibration.Among(users, rate)}
	}
	return a, nil
}

// rounded rounds a number of users up to a power of ten, at least 100.
func rounded(users int) int {
	power := 100
	for power < users {
		power *= 10
	}
	return power
}

// CheckThreshold refuses what is no threshold in percent.
func CheckThreshold(percent float64) error {
	if math.IsNaN(percent) || percent < 0 || percent > 100 {
		return refuse("threshold must be a number from 0 to 100")
	}
	return nil
}

// size remembers the number of users of a collection, or that it could not be
// counted. It is safe for concurrent use.
type size struct {
	counting atomic.Bool // a call is counting

	mu      sync.Mutex
	users   int
	failure error
	counted time.Time // zero for never
}

// errCounting is the error of calls that do not wait for the first count.
var errCounting = fmt.Errorf("gallery: %w: the users are being counted", ports.ErrUnavailable)

// get returns the last count if it is at most maxAge old, and otherwise counts. With a
// maxAge one caller counts at a time, and failures are remembered like counts: a store
// that cannot count must not be asked at every search.
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
	// A cancelled call says nothing about the store.
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
