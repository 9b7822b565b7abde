package vectorstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/core/vectorstore"
	"imago/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// driver notes what it is asked and answers with err.
type driver struct {
	calls  []string
	err    error
	record ports.Record     // of the last Add
	begun  chan struct{}    // where a call says that it has begun; nil for no word
	finish chan struct{}    // what a call waits for; nil for nothing
	faces  []ports.Record   // of a scan
	silent bool             // Get says nothing: whether a user has expired is asked before a removal
	more   func(yields int) // runs between two records of a scan
}

func (d *driver) do(call string) error {
	d.calls = append(d.calls, call)
	if d.begun != nil {
		d.begun <- struct{}{}
	}
	if d.finish != nil {
		<-d.finish
	}
	return d.err
}

func (d *driver) Open(context.Context) error  { return d.do("open") }
func (d *driver) Check(context.Context) error { return d.do("check") }
func (d *driver) Close() error                { return d.do("close") }

func (d *driver) Add(_ context.Context, r ports.Record, _ ports.Mode) error {
	d.record = r
	return d.do("add")
}

func (d *driver) Remove(context.Context, ports.Removal, ports.Owners) error { return d.do("remove") }

func (d *driver) Get(context.Context, ports.UserKey) ([]ports.Record, error) {
	if d.silent {
		return nil, nil
	}
	return nil, d.do("get")
}

func (d *driver) Search(context.Context, ports.Query) ([]ports.Match, error) {
	return nil, d.do("search")
}

func (d *driver) Scan(context.Context, ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		if err := d.do("scan"); err != nil {
			yield(ports.Record{}, err)
			return
		}
		for i, r := range d.faces {
			if d.more != nil {
				d.more(i)
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (d *driver) Expire(context.Context, ports.UserKey, ports.Cutoff) error { return d.do("expire") }

func (d *driver) Expired(context.Context, string, ports.Cutoff) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}

func (d *driver) Count(context.Context, string) (int, error) { return 7, d.do("count") }

var space = ports.Space{Model: "tiny", Dimension: 2}

// started returns an open store, which the test closes.
func started(t *testing.T, d *driver) *vectorstore.Store {
	t.Helper()
	s := vectorstore.New("acme", d, space)
	require.NoError(t, s.Start(t.Context()))
	d.calls = nil
	return s
}

var ada = ports.UserKey{Collection: "users", UserID: "ada"}

func face() ports.Record {
	return ports.Record{Collection: "users", UserID: "ada", FaceID: "f", Owner: "gateway", Vector: []float32{1, 0}}
}

func query() ports.Query {
	return ports.Query{Collection: "users", Vector: []float32{1, 0}, K: 1, MinScore: -1}
}

// calls are all that a store can be asked.
var calls = map[string]func(context.Context, *vectorstore.Store) error{
	"add": func(ctx context.Context, s *vectorstore.Store) error { return s.Add(ctx, face(), ports.NewUser()) },
	"remove": func(ctx context.Context, s *vectorstore.Store) error {
		return s.Remove(ctx, ports.WholeUser(ada), ports.Everybody())
	},
	"get":    func(ctx context.Context, s *vectorstore.Store) error { _, err := s.Get(ctx, ada); return err },
	"search": func(ctx context.Context, s *vectorstore.Store) error { _, err := s.Search(ctx, query()); return err },
	"scan": func(ctx context.Context, s *vectorstore.Store) (err error) {
		for _, err = range s.Scan(ctx, ports.Everything("users", "")) {
		}
		return err
	},
	"count":  func(ctx context.Context, s *vectorstore.Store) error { _, err := s.Count(ctx, "users"); return err },
	"health": func(ctx context.Context, s *vectorstore.Store) error { return s.CheckHealth(ctx) },
}

// named is what the driver calls a call.
func named(call string) string { return strings.Replace(call, "health", "check", 1) }

func TestDriverIsAsked(t *testing.T) {
	d := &driver{}
	s := started(t, d)
	for name, call := range calls {
		d.calls, d.silent = nil, name == "remove"
		require.NoError(t, call(t.Context(), s), name)
		require.Equal(t, []string{named(name)}, d.calls)
	}
	n, err := s.Count(t.Context(), "users")
	require.NoError(t, err)
	require.Equal(t, 7, n)
	require.NoError(t, s.Close(t.Context()))
}

// Errors name the store and the call, and are of a kind that the port knows.
func TestErrors(t *testing.T) {
	for name, call := range calls {
		d := &driver{}
		s := started(t, d)
		for _, c := range []struct {
			met  error
			want string
			kind error
		}{
			{ports.ErrNotFound, "not found", ports.ErrNotFound},
			{errors.New("disk on fire"), "backend unavailable: disk on fire", ports.ErrUnavailable},
			{context.DeadlineExceeded, "backend unavailable: context deadline exceeded", ports.ErrUnavailable},
		} {
			d.err = c.met
			err := call(t.Context(), s)
			require.EqualError(t, err, "acme: "+name+": "+c.want)
			require.ErrorIs(t, err, c.kind)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "it is not the caller's")
		}
		d.err, d.calls = nil, nil
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := call(ctx, s)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ports.ErrUnavailable)
		require.Empty(t, d.calls, "the driver was asked under a context that had ended")
		require.NoError(t, s.Close(t.Context()))
	}
}

func TestOnlyRightArgumentsReachTheDriver(t *testing.T) {
	d := &driver{}
	s := started(t, d)
	nan, long := float32(math.NaN()), strings.Repeat("x", 257)
	changed := func(change func(r *ports.Record)) func() error {
		r := face()
		change(&r)
		return func() error { return s.Add(t.Context(), r, ports.NewUser()) }
	}
	asked := func(change func(q *ports.Query)) func() error {
		q := query()
		change(&q)
		return func() error { _, err := s.Search(t.Context(), q); return err }
	}
	scanned := func(selection ports.Selection) func() error {
		return func() (err error) {
			for _, err = range s.Scan(t.Context(), selection) {
			}
			return err
		}
	}
	got := func(user ports.UserKey) func() error {
		return func() error { _, err := s.Get(t.Context(), user); return err }
	}
	for name, call := range map[string]func() error{
		"collection":       changed(func(r *ports.Record) { r.Collection = "Users" }),
		"no user":          changed(func(r *ports.Record) { r.UserID = "" }),
		"a long user":      changed(func(r *ports.Record) { r.UserID = long }),
		"a bad face":       changed(func(r *ports.Record) { r.FaceID = "a\nb" }),
		"a bad owner":      changed(func(r *ports.Record) { r.Owner = "\xff" }),
		"no vector":        changed(func(r *ports.Record) { r.Vector = nil }),
		"a longer vector":  changed(func(r *ports.Record) { r.Vector = []float32{1, 0, 0} }),
		"NaN":              changed(func(r *ports.Record) { r.Vector = []float32{nan, 0} }),
		"no unit":          changed(func(r *ports.Record) { r.Vector = []float32{1, 0.1} }),
		"no mode":          func() error { return s.Add(t.Context(), face(), ports.Mode{}) },
		"a mode of nobody": func() error { return s.Add(t.Context(), face(), ports.FurtherFace(ports.Owners{})) },
		"remove from": func() error {
			return s.Remove(t.Context(), ports.WholeUser(ports.UserKey{UserID: "a"}), ports.Everybody())
		},
		"remove of a face":  func() error { return s.Remove(t.Context(), ports.OneFace(ada, ""), ports.Everybody()) },
		"remove nobody":     func() error { return s.Remove(t.Context(), ports.Removal{}, ports.Everybody()) },
		"remove of nobody":  func() error { return s.Remove(t.Context(), ports.WholeUser(ada), ports.Owners{}) },
		"get from":          got(ports.UserKey{Collection: "a b", UserID: "a"}),
		"get whom":          got(ports.UserKey{Collection: "users", UserID: "secret\x00"}),
		"search in":         asked(func(q *ports.Query) { q.Collection = "" }),
		"search for":        asked(func(q *ports.Query) { q.Vector = []float32{0, 0} }),
		"search for none":   asked(func(q *ports.Query) { q.K = 0 }),
		"search for many":   asked(func(q *ports.Query) { q.K = 1001 }),
		"search from NaN":   asked(func(q *ports.Query) { q.MinScore = math.NaN() }),
		"search from above": asked(func(q *ports.Query) { q.MinScore = 1.01 }),
		"search from below": asked(func(q *ports.Query) { q.MinScore = -1.01 }),
		"scan of":           scanned(ports.Everything("../etc", "")),
		"scan of nobody":    scanned(ports.Selection{Collection: "users"}),
		"count of":          func() error { _, err := s.Count(t.Context(), long); return err },
	} {
		err := call()
		require.ErrorIs(t, err, ports.ErrInvalid, name)
		require.NotContains(t, err.Error(), "secret")
		require.Empty(t, d.calls, name)
	}
	require.EqualError(t, s.Add(t.Context(), face(), ports.Mode{}), "acme: add: invalid input: no mode")
	require.NoError(t, scanned(ports.Everything("users", "any\x00text"))())
	require.NoError(t, changed(func(r *ports.Record) { r.Owner = "" })())
	require.NoError(t, changed(func(r *ports.Record) { r.Vector = []float32{0.6, 0.80001} })())
	require.NoError(t, s.Close(t.Context()))
}

// The driver may keep the vector that it is given.
func TestVectorIsTheDrivers(t *testing.T) {
	d := &driver{}
	s := started(t, d)
	r := face()
	require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
	r.Vector[0] = 7
	require.Equal(t, []float32{1, 0}, d.record.Vector)
	require.NoError(t, s.Close(t.Context()))
}

// A scan ends between two records when its context does, or the store is closed, however
// long the driver goes on.
func TestScanEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(s *vectorstore.Store, cancel func())
		want error
	}{
		"cancelled": {func(_ *vectorstore.Store, cancel func()) { cancel() }, context.Canceled},
		"closed": {func(s *vectorstore.Store, _ func()) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = s.Close(ctx)
		}, ports.ErrUnavailable},
	} {
		d := &driver{faces: make([]ports.Record, 10)}
		s := started(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		d.more = func(yields int) {
			if yields == 3 {
				c.end(s, cancel)
			}
		}
		var seen int
		var failure error
		for _, err := range s.Scan(ctx, ports.Everything("users", "")) {
			if failure = err; err == nil {
				seen++
			}
		}
		require.Equal(t, 3, seen, name)
		require.ErrorIs(t, failure, c.want)
		require.ErrorContains(t, failure, "acme: scan: ")
		require.NoError(t, s.Close(t.Context()))
		cancel()
	}
}

func TestScanBreaks(t *testing.T) {
	s := started(t, &driver{faces: make([]ports.Record, 10)})
	for range s.Scan(t.Context(), ports.Everything("users", "")) {
		break
	}
	require.NoError(t, s.Close(t.Context()), "a scan that was left keeps the store open")
}

func requireUnavailable(t *testing.T, s *vectorstore.Store, d *driver) {
	t.Helper()
	asked := len(d.calls)
	for name, call := range calls {
		require.ErrorIs(t, call(t.Context(), s), ports.ErrUnavailable, name)
	}
	require.Len(t, d.calls, asked, "the driver was asked")
}

func TestBeforeStartAndAfterClose(t *testing.T) {
	d := &driver{}
	s := vectorstore.New("acme", d, space)
	requireUnavailable(t, s, d)
	d.err = ports.ErrSpaceMismatch
	require.EqualError(t, s.Start(t.Context()), "acme: cannot open: embedding space mismatch")
	requireUnavailable(t, s, d)
	d.err = nil
	require.NoError(t, s.Start(t.Context()), "a start that failed can be repeated")
	require.EqualError(t, s.Start(t.Context()), "acme: a store can be started only once")
	require.NoError(t, s.CheckHealth(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	requireUnavailable(t, s, d)
	require.Error(t, s.Start(t.Context()))
	require.Equal(t, []string{"open", "open", "check", "close"}, d.calls)
}

func TestCloseWithoutStart(t *testing.T) {
	d := &driver{}
	s := vectorstore.New("acme", d, space)
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	require.Error(t, s.Start(t.Context()))
	requireUnavailable(t, s, d)
	require.Empty(t, d.calls)
}

func TestStartWithoutDimension(t *testing.T) {
	d := &driver{}
	require.ErrorIs(t, vectorstore.New("acme", d, ports.Space{}).Start(t.Context()), ports.ErrInvalid)
	require.Empty(t, d.calls)
}

// Close waits for what is under way, and refuses what comes. One that is given up goes
// on, and all answer the same.
func TestCloseWaits(t *testing.T) {
	for name, call := range calls {
		synctest.Test(t, func(t *testing.T) {
			d := &driver{silent: name == "remove"}
			s := started(t, d)
			d.begun, d.finish = make(chan struct{}), make(chan struct{})
			answers := make(chan error, 3)
			go func() { answers <- call(t.Context(), s) }()
			<-d.begun
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, s.Close(ctx), context.Canceled, name)
			requireUnavailable(t, s, d)
			closed := make(chan error, 2)
			for range 2 {
				go func() { closed <- s.Close(t.Context()) }()
			}
			synctest.Wait()
			require.Equal(t, []string{named(name)}, d.calls, "the driver was closed during a call")
			require.Empty(t, closed)

			d.finish <- struct{}{}
			require.NoError(t, <-answers)
			<-d.begun // of Close
			d.err = errors.New("disk on fire")
			d.finish <- struct{}{}
			for range 2 {
				require.EqualError(t, <-closed, "acme: close: disk on fire")
			}
			require.EqualError(t, s.Close(t.Context()), "acme: close: disk on fire")
			require.Equal(t, []string{named(name), "close"}, d.calls)
		})
	}
}

// A store that starts answers at once that it is not open.
func TestCallsDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{begun: make(chan struct{}), finish: make(chan struct{})}
		s := vectorstore.New("acme", d, space)
		go func() { _ = s.Start(t.Context()) }()
		<-d.begun
		requireUnavailable(t, s, d)
		d.finish <- struct{}{}
		synctest.Wait()
		d.begun, d.finish = nil, nil
		require.NoError(t, s.Close(t.Context()))
	})
}

// silent is a driver that does nothing, so that a benchmark measures the guard.
type silent struct{ driver }

func (*silent) Open(context.Context) error                                 { return nil }
func (*silent) Close() error                                               { return nil }
func (*silent) Add(context.Context, ports.Record, ports.Mode) error        { return nil }
func (*silent) Search(context.Context, ports.Query) ([]ports.Match, error) { return nil, nil }

// BenchmarkGuard measures what the guard adds to a call, most of which is the check of
// the vector.
func BenchmarkGuard(b *testing.B) {
	wide := ports.Space{Model: "wide", Dimension: 128}
	s := vectorstore.New("acme", &silent{}, wide)
	require.NoError(b, s.Start(b.Context()))
	r, q := face(), query()
	r.Vector = make([]float32, wide.Dimension)
	r.Vector[0] = 1
	q.Vector = r.Vector
	b.Run("Add", func(b *testing.B) {
		for b.Loop() {
			_ = s.Add(b.Context(), r, ports.NewUser())
		}
	})
	b.Run("Search", func(b *testing.B) {
		for b.Loop() {
			_, _ = s.Search(b.Context(), q)
		}
	})
	b.Run("SearchParallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = s.Search(b.Context(), q)
			}
		})
	})
	require.NoError(b, s.Close(context.Background()))
}

// A backend that is still preparing is not lost.
func TestNotReadyIsNoOutage(t *testing.T) {
	var log strings.Builder
	d := &driver{}
	s := vectorstore.New("tiny", d, ports.Space{Dimension: 2})
	s.LogOutages(slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { d.err = nil; require.NoError(t, s.Close(context.WithoutCancel(t.Context()))) })
	d.err = fmt.Errorf("%w: %w: 5 so far", ports.ErrUnavailable, ports.ErrNotReady)
	require.ErrorContains(t, s.CheckHealth(t.Context()), "5 so far")
	require.Empty(t, log.String())
	d.err = ports.ErrUnavailable
	require.ErrorIs(t, s.CheckHealth(t.Context()), ports.ErrUnavailable)
	require.Contains(t, log.String(), "store lost")
}
