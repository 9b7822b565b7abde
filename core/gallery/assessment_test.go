package gallery_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/gallery"
	"imago/ports"
)

// counting is a store that has a number of users and tells how often it was
// asked.
type counting struct {
	store
	users, asked int
	err          error
}

func (c *counting) Count(context.Context, string) (int, error) {
	c.asked++
	return c.users, c.err
}

// assessed returns a gallery over a store, at a time that the test may move.
func assessed(s ports.VectorStore, rates calibration.Rates) (*gallery.Gallery, *time.Time) {
	now := when
	return gallery.New(extractor{string(picture): anna}, s, gallery.Options{
		Lists:    []gallery.Collection{{Name: "blacklist", Shared: true}},
		Curve:    calibration.Curve{Midpoint: 0.414, Steepness: 20.9},
		Measured: gallery.Measurement{Model: "m", Basis: "some pictures", Rates: rates},
		Now:      func() time.Time { return now },
	}), &now
}

var rates = calibration.Rates{{Cosine: 0.4, Rate: 0.01}, {Cosine: 0.6, Rate: 0.0001}}

func TestAssess(t *testing.T) {
	g, _ := assessed(&counting{users: 1000}, rates)
	a, err := g.Assess(t.Context(), "users", 80, 0)
	require.NoError(t, err)
	rate := math.Exp(math.Log(0.01) + (a.Cosine-0.4)/0.2*math.Log(0.01))
	require.InDelta(t, 0.4803, a.Cosine, 1e-4)
	require.InEpsilon(t, rate, a.Measured.Rate.Value, 1e-9)
	require.InEpsilon(t, 1-math.Pow(1-rate, 1000), a.Measured.Chance.Value, 1e-9)
	require.Equal(t, calibration.Estimated, a.Measured.Chance.Bound)
	a.Cosine, a.Measured = 0, nil
	require.Equal(t, gallery.Assessment{Collection: "users", Threshold: 80, Users: 1000, Model: "m", Basis: "some pictures"}, a)

	a, err = g.Assess(t.Context(), "blacklist", 100, 0)
	require.NoError(t, err)
	require.Equal(t, calibration.Rate{Value: 0.0001, Bound: calibration.AtMost}, a.Measured.Rate)

	g, _ = assessed(&counting{users: 1000}, nil)
	a, err = g.Assess(t.Context(), "users", 80, 0)
	require.NoError(t, err)
	require.Nil(t, a.Measured, "nothing was measured")
}

// Nobody can count what other clients have enrolled in a shared list, neither by the
// number nor by the chance that comes with it.
func TestAssessOfASharedListCountsNobody(t *testing.T) {
	s := &counting{}
	g, _ := assessed(s, rates)
	ask := func(collection string, users int) gallery.Assessment {
		s.users = users
		a, err := g.Assess(t.Context(), collection, 80, 0)
		require.NoError(t, err)
		return a
	}
	for users, told := range map[int]int{0: 100, 1: 100, 99: 100, 100: 100, 101: 1000, 1000: 1000, 1001: 10_000, 2_345_678: 10_000_000} {
		require.Equal(t, told, ask("blacklist", users).Users)
		require.Equal(t, ask("blacklist", told), ask("blacklist", users))
		require.Equal(t, users, ask("users", users).Users)
	}
}

func TestAssessRefuses(t *testing.T) {
	g, _ := assessed(&counting{err: ports.ErrUnavailable}, rates)
	for _, threshold := range []float64{-1, 100.1, math.NaN(), math.Inf(1)} {
		_, err := g.Assess(t.Context(), "users", threshold, 0)
		require.ErrorIs(t, err, ports.ErrInvalid, fmt.Sprint(threshold))
	}
	_, err := g.Assess(t.Context(), "nope", 80, 0)
	require.ErrorIs(t, err, ports.ErrNotFound)
	_, err = g.Assess(t.Context(), "users", 80, time.Minute)
	require.ErrorIs(t, err, ports.ErrUnavailable)
}

// The number is counted anew only when it is too old for the caller.
func TestAssessRemembersTheSize(t *testing.T) {
	s := &counting{users: 5}
	g, now := assessed(s, rates)
	users := func(maxAge time.Duration) int {
		a, err := g.Assess(t.Context(), "users", 80, maxAge)
		require.NoError(t, err)
		return a.Users
	}
	require.Equal(t, 5, users(time.Minute))
	s.users = 6
	*now = now.Add(time.Minute)
	require.Equal(t, 5, users(time.Minute))
	require.Equal(t, 6, users(0))
	s.users = 7
	require.Equal(t, 6, users(time.Minute))
	*now = now.Add(time.Minute + 1)
	require.Equal(t, 7, users(time.Minute))
	require.Equal(t, 3, s.asked)
}

// A store that cannot count is not asked at every search, but again later; that
// a client has left is not the store's failure.
func TestAssessRemembersFailures(t *testing.T) {
	s := &counting{users: 5, err: context.Canceled}
	g, now := assessed(s, rates)
	assess := func() error {
		_, err := g.Assess(t.Context(), "users", 80, time.Minute)
		return err
	}
	require.ErrorIs(t, assess(), context.Canceled)
	s.err = ports.ErrUnavailable
	for range 3 {
		require.ErrorIs(t, assess(), ports.ErrUnavailable)
	}
	require.Equal(t, 2, s.asked)
	s.err = nil
	*now = now.Add(time.Minute + 1)
	require.NoError(t, assess())
	require.Equal(t, 3, s.asked)
}

// While one search has the users counted, others do not wait for it.
func TestAssessDoesNotWaitForAnother(t *testing.T) {
	s := &blocked{entered: make(chan struct{}), release: make(chan struct{})}
	g, _ := assessed(s, rates)
	answer := make(chan error, 1)
	go func() {
		_, err := g.Assess(t.Context(), "users", 80, time.Minute)
		answer <- err
	}()
	<-s.entered
	_, err := g.Assess(t.Context(), "users", 80, time.Minute)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	close(s.release)
	require.NoError(t, <-answer)
	_, err = g.Assess(t.Context(), "users", 80, time.Minute)
	require.NoError(t, err)
}

// blocked is a store that counts once it is released.
type blocked struct {
	store
	entered, release chan struct{}
}

func (b *blocked) Count(context.Context, string) (int, error) {
	close(b.entered)
	<-b.release
	return 1, nil
}

// A search that asks for it tells what Assess tells, and counts at most once a minute.
// Not being able to count is no reason to fail.
func TestSearchIsAssessed(t *testing.T) {
	s := &counting{users: 1000}
	g, now := assessed(s, rates)
	p := gallery.Probe{Collection: "users", Picture: picture, Threshold: 80, Limit: 1, Assess: true}
	for range 3 {
		got, err := g.Search(t.Context(), alice, p)
		require.NoError(t, err)
		want, err := g.Assess(t.Context(), "users", 80, time.Minute)
		require.NoError(t, err)
		require.Equal(t, &want, got.Assessment)
	}
	require.Equal(t, 1, s.asked)
	*now = now.Add(time.Minute + 1)
	s.err = ports.ErrUnavailable
	got, err := g.Search(t.Context(), alice, p)
	require.NoError(t, err)
	require.Nil(t, got.Assessment)
	require.Equal(t, 2, s.asked)
}
