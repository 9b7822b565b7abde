package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/ports"
	"imago/test/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var east = []float32{1, 0}

// source is a store that does what it is told. The contract suites run with PostgreSQL.
type source struct {
	ports.StoreDriver
	mu       sync.Mutex
	at       ports.Position
	faces    []ports.Record
	delta    ports.Delta
	headErr  error
	loadErr  error
	heads    int
	asked    chan struct{} // a search was answered here
	stopping chan struct{} // Head waits for it, if it is not nil
}

var errBroken = errors.New("broken")

func newSource(users ...string) *source {
	s := &source{asked: make(chan struct{}, 1000), at: ports.Position{Number: 1, Token: "a"}}
	for _, u := range users {
		s.faces = append(s.faces, face(u))
	}
	return s
}

func face(user string) ports.Record {
	return ports.Record{Collection: "users", UserID: user, FaceID: "f", Vector: []float32{1, 0}}
}

func (s *source) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *source) Open(context.Context) error  { return nil }
func (s *source) Check(context.Context) error { return nil }
func (s *source) Close() error                { return nil }

func (s *source) Search(context.Context, ports.Query) ([]ports.Match, error) {
	s.asked <- struct{}{}
	return []ports.Match{{UserID: "from the source"}}, nil
}

func (s *source) Head(ctx context.Context) (ports.Position, error) {
	s.mu.Lock()
	stopping := s.stopping
	s.mu.Unlock()
	if stopping != nil {
		select {
		case <-stopping:
		case <-ctx.Done():
			return ports.Position{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads++
	return s.at, s.headErr
}

func (s *source) Since(context.Context, ports.Position, int) (ports.Delta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delta, nil
}

func (s *source) Snapshot(_ context.Context, add func(ports.Record) error) (ports.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.faces {
		if err := add(r); err != nil {
			return ports.Position{}, err
		}
	}
	return s.at, s.loadErr
}

func opened(t *testing.T, s *source, maxFaces int) *Driver {
	t.Helper()
	d := New(s, Options{Dimension: 2, MaxFaces: maxFaces, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, d.Open(t.Context()))
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func ready(t *testing.T, d *Driver) {
	t.Helper()
	fixture.Until(t, "it is ready", func() bool { return d.Check(t.Context()) == nil })
}

func found(t *testing.T, d *Driver) (users []string) {
	t.Helper()
	matches, err := d.Search(t.Context(), ports.Query{Collection: "users", Vector: east, K: 10, MinScore: 0.5})
	require.NoError(t, err)
	for _, m := range matches {
		users = append(users, m.UserID)
	}
	return users
}

func TestSearchesTheCopy(t *testing.T) {
	s := newSource("ada", "bob")
	d := opened(t, s, 10)
	ready(t, d)
	require.Equal(t, []string{"ada", "bob"}, found(t, d))
	s.change(func() {
		s.at = ports.Position{Number: 3, Token: "b"}
		s.delta = ports.Delta{To: s.at, Users: []ports.UserKey{face("ada").User(), face("eve").User()}, Faces: []ports.Record{face("eve")}}
	})
	require.Equal(t, []string{"bob", "eve"}, found(t, d))
	require.Empty(t, s.asked)
	stats := d.Stats()
	require.True(t, stats.Usable)
	require.EqualValues(t, 2, stats.Faces)
	require.EqualValues(t, 1, stats.Loads)
	require.Positive(t, stats.Bytes)
}

// An idle copy is brought up to date too.
func TestPolls(t *testing.T) {
	s := newSource("ada")
	d := opened(t, s, 10)
	ready(t, d)
	s.change(func() {
		s.at = ports.Position{Number: 2, Token: "b"}
		s.delta = ports.Delta{To: s.at, Users: []ports.UserKey{face("ada").User()}}
	})
	fixture.Until(t, "the face is gone", func() bool { return d.Stats().Faces == 0 })
}

// A search goes to the source when that cannot say whether the copy is behind.
func TestNoAnswerNoCopy(t *testing.T) {
	s := newSource("ada")
	d := opened(t, s, 10)
	ready(t, d)
	s.change(func() { s.headErr = errBroken })
	require.Equal(t, []string{"from the source"}, found(t, d))
	s.change(func() { s.headErr = nil })
	require.Equal(t, []string{"ada"}, found(t, d))
	require.EqualValues(t, 1, d.Stats().Fallbacks)
}

// A copy that the source does not confirm is erased after a while, because removed faces may
// be in it, and made again when the source answers.
func TestUnconfirmedCopyIsErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource("ada")
		d := New(s, Options{Dimension: 2, MaxFaces: 10, Log: slog.New(slog.DiscardHandler)})
		var why atomic.Pointer[error]
		d.Notify(func(err error) { why.Store(&err) })
		require.NoError(t, d.Open(t.Context()))
		synctest.Wait()
		require.NoError(t, *why.Load())
		s.change(func() { s.headErr, s.loadErr = errBroken, errBroken })
		time.Sleep(keepUnconfirmed - time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, d.Stats().Faces)
		require.False(t, d.Stats().Usable)
		require.ErrorIs(t, *why.Load(), errBroken)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Zero(t, d.Stats().Faces)
		require.Zero(t, d.Stats().Bytes)
		s.change(func() { s.headErr, s.loadErr = nil, nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, d.Stats().Faces)
		require.True(t, d.Stats().Usable)
		require.NoError(t, *why.Load())
		require.NoError(t, d.Close())
	})
}

// Where the way is unknown the copy is made again.
func TestMadeAgain(t *testing.T) {
	s := newSource("ada")
	d := opened(t, s, 10)
	ready(t, d)
	s.change(func() {
		s.at, s.delta, s.faces = ports.Position{Number: 1, Token: "c"}, ports.Delta{Unknown: true}, []ports.Record{face("eve")}
	})
	require.Equal(t, []string{"from the source"}, found(t, d))
	fixture.Until(t, "the copy is there", func() bool { return d.Stats().Usable })
	require.Equal(t, []string{"eve"}, found(t, d))
	require.NoError(t, d.Check(t.Context()), "it stays ready meanwhile")
}

// More faces than fit are searched in the source, whether they are there or come later.
func TestTooManyFaces(t *testing.T) {
	d := opened(t, newSource("ada", "bob", "eve"), 2)
	ready(t, d)
	require.Equal(t, []string{"from the source"}, found(t, d))
	require.False(t, d.Stats().Usable)

	s := newSource("ada", "bob")
	d = opened(t, s, 2)
	ready(t, d)
	require.Equal(t, []string{"ada", "bob"}, found(t, d))
	s.change(func() {
		s.at, s.faces = ports.Position{Number: 2, Token: "b"}, append(s.faces, face("eve"))
		s.delta = ports.Delta{To: s.at, Users: []ports.UserKey{face("eve").User()}, Faces: []ports.Record{face("eve")}}
	})
	require.Equal(t, []string{"from the source"}, found(t, d))
}

// A replica is not ready before its copy is made, unless that fails.
func TestReadiness(t *testing.T) {
	s := newSource("ada")
	s.mu.Lock() // holds the snapshot
	d := opened(t, s, 10)
	require.ErrorIs(t, d.Check(t.Context()), ports.ErrUnavailable)
	require.ErrorIs(t, d.Check(t.Context()), ports.ErrNotReady)
	require.Equal(t, []string{"from the source"}, found(t, d))
	s.loadErr = errBroken
	s.mu.Unlock()
	ready(t, d)
	require.Equal(t, []string{"from the source"}, found(t, d))
	s.change(func() { s.loadErr = nil })
	fixture.Until(t, "it was tried again", func() bool { return d.Stats().Usable })
	require.Equal(t, []string{"ada"}, found(t, d))
}

// Searches share a question that is put after they came, never one that was put before.
func TestSharedChecks(t *testing.T) {
	s := newSource("ada")
	d := opened(t, s, 10)
	ready(t, d)
	stopping := make(chan struct{})
	s.change(func() { s.stopping, s.heads = stopping, 0 })
	const callers = 50
	answers := make(chan []string, callers)
	for range callers {
		go func() { answers <- found(t, d) }()
	}
	fixture.Until(t, "a question is put", func() bool { return d.Stats().Checks > 0 })
	time.Sleep(10 * time.Millisecond) // all others wait for the next one by now, or nearly
	close(stopping)
	for range callers {
		require.Equal(t, []string{"ada"}, <-answers)
	}
	s.change(func() { require.Less(t, s.heads, callers) })
}

// Whoever leaves does not wait for the source, nor does Close.
func TestStuckSource(t *testing.T) {
	s := newSource("ada")
	d := New(s, Options{Dimension: 2, MaxFaces: 10, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, d.Open(t.Context()))
	ready(t, d)
	s.change(func() { s.stopping = make(chan struct{}) })
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := d.Search(ctx, ports.Query{Collection: "users", Vector: east, K: 1})
		answer <- err
	}()
	cancel()
	require.ErrorIs(t, <-answer, context.Canceled)
	require.NoError(t, d.Close())
	require.Equal(t, fmt.Sprint(ports.ReplicaStats{Loads: 1, Checks: d.Stats().Checks}), fmt.Sprint(d.Stats()), "nothing is left in memory")
}
