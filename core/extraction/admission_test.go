package extraction_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/extraction"
	"imago/ports"
)

// gated is a detector whose every call waits until it is let go on.
type gated struct {
	entered, release chan struct{}
}

func newGated() gated { return gated{make(chan struct{}, 64), make(chan struct{})} }

func (g gated) Detect(_ context.Context, img *ports.Image, _ int) ([]ports.Face, error) {
	if img.Width < 640 { // a crop that tells which way up the face is
		return nil, nil
	}
	g.entered <- struct{}{}
	<-g.release
	return []ports.Face{faceOf(0, 0, 200)}, nil
}

// occupy has the extractor work on one picture and n more wait. It returns the
// channel of their results.
func occupy(t *testing.T, x *extraction.Extractor, g gated, n int) chan error {
	t.Helper()
	results := make(chan error, n+1)
	for range n + 1 {
		go func() { _, err := x.Probe(t.Context(), nil); results <- err }()
	}
	<-g.entered
	require.Eventually(t, func() bool { _, waiting := x.Load(); return waiting == n }, testWait, testTick)
	return results
}

// reserve announces n pictures, each of a client of its own.
func reserve(t *testing.T, x *extraction.Extractor, n int) (release []func()) {
	t.Helper()
	for i := range n {
		r, err := x.Reserve(fmt.Sprint("client ", i))
		require.NoError(t, err)
		release = append(release, r)
	}
	return release
}

// As many pictures are announced as can be in work and waiting, and whoever gives
// up makes room for one, once.
func TestReserve(t *testing.T) {
	g := newGated()
	x := extraction.New(&decoder{width: 640, height: 640}, g, embedFunc(unit), extraction.Options{Workers: 1, Queue: 4, DetectSizes: []int{640}})
	results := occupy(t, x, g, 2)
	release := reserve(t, x, 5)
	_, err := x.Reserve("another")
	require.ErrorIs(t, err, ports.ErrOverloaded)
	release[0]()
	release[0]()
	reserve(t, x, 1)
	_, err = x.Reserve("another")
	require.ErrorIs(t, err, ports.ErrOverloaded)
	close(g.release)
	for range 3 {
		require.NoError(t, <-results)
	}
}

// Under overload one client cannot keep every place from others, who
// are refused at most once.
func TestReservationsAreShared(t *testing.T) {
	g := newGated()
	x := extraction.New(&decoder{width: 640, height: 640}, g, embedFunc(unit), extraction.Options{Workers: 1, Queue: 15, DetectSizes: []int{640}})
	results := occupy(t, x, g, 8)
	var held []func()
	greedy := func() (n int) {
		for ; ; n++ {
			release, err := x.Reserve("greedy")
			if err != nil {
				require.ErrorIs(t, err, ports.ErrOverloaded)
				return n
			}
			held = append(held, release)
		}
	}
	require.Equal(t, 16, greedy(), "nobody else wants any")
	_, err := x.Reserve("another")
	require.ErrorIs(t, err, ports.ErrOverloaded)
	for _, release := range held[:3] {
		release()
	}
	require.Zero(t, greedy(), "13 of 16 are more than its share now")
	for range 3 {
		_, err = x.Reserve("another")
		require.NoError(t, err)
	}
	for _, release := range held[3:10] {
		release()
	}
	require.Positive(t, greedy(), "6 of 16 are less")
	close(g.release)
	for range 9 {
		require.NoError(t, <-results)
	}
}

// Pictures that are announced and arrive slowly do not keep others out while
// nobody waits for a worker.
func TestSlowPicturesDoNotBlock(t *testing.T) {
	g := newGated()
	x := extraction.New(&decoder{width: 640, height: 640}, g, embedFunc(unit), extraction.Options{Workers: 1, Queue: 4, DetectSizes: []int{640}})
	reserve(t, x, 20) // no worker is busy
	results := occupy(t, x, g, 1)
	reserve(t, x, 20) // the queue is a quarter full
	close(g.release)
	for range 2 {
		require.NoError(t, <-results)
	}
}

// A picture whose turn would come too late is refused at once.
func TestNobodyWaitsInVain(t *testing.T) {
	g := newGated()
	x := extraction.New(&decoder{width: 640, height: 640}, g, embedFunc(unit), extraction.Options{Workers: 1, Queue: 64, DetectSizes: []int{640}})
	results := occupy(t, x, g, 0)
	<-time.After(100 * time.Millisecond) // how long a picture takes, as the extractor learns
	g.release <- struct{}{}
	require.NoError(t, <-results)

	results = occupy(t, x, g, 60) // another six seconds
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := x.Probe(ctx, nil)
	require.ErrorIs(t, err, ports.ErrOverloaded)
	require.NoError(t, ctx.Err(), "at once")
	close(g.release)
	for range 61 {
		require.NoError(t, <-results)
	}
}

// Nothing is done for those who have gone while they waited.
func TestTheGoneAreNotWorkedOn(t *testing.T) {
	g := newGated()
	x := extraction.New(&decoder{width: 640, height: 640}, g, embedFunc(unit), extraction.Options{Workers: 1, Queue: 64, DetectSizes: []int{640}})
	results := occupy(t, x, g, 0)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 50)
	for range cap(gone) {
		go func() { _, err := x.Probe(ctx, nil); gone <- err }()
	}
	require.Eventually(t, func() bool { _, waiting := x.Load(); return waiting == cap(gone) }, testWait, testTick)
	cancel()
	close(g.release) // the worker is free at the same time
	for range cap(gone) {
		require.ErrorIs(t, <-gone, context.Canceled)
	}
	require.NoError(t, <-results)
	require.Empty(t, g.entered)
}
