package loadgen

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gonum.org/v1/plot/plotter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// After a run of every operation the generator knows exactly who is enrolled,
// and nobody is left when it has removed them.
func TestUsersAreTheTruth(t *testing.T) {
	server := newGallery(t)
	server.users["somebody else"] = true
	g := generator(t, server.options(t))
	r, err := g.Run(t.Context(), short(t, "search=1,enrol=3,unenrol=1"))
	require.NoError(t, err)
	require.Empty(t, r.Failures)
	require.Len(t, r.Operations, kinds, "every operation occurs")
	require.Positive(t, r.Throughput)
	require.Equal(t, r.Requests, r.Served.Count)

	var known []string
	users, uncertain := g.Users()
	for _, u := range users {
		known = append(known, u.ID)
	}
	require.Zero(t, uncertain)
	require.ElementsMatch(t, server.enrolled(), append(known, "somebody else"))
	require.LessOrEqual(t, len(known), 50, "no more than there may be")
	require.Zero(t, g.Remove(t.Context()))
	require.Equal(t, []string{"somebody else"}, server.enrolled())
}

// Answers that are lost or broken leave no user behind, whether the change was
// made or not.
func TestUnknownOutcomesAreRemoved(t *testing.T) {
	server := newGallery(t)
	var trouble atomic.Bool
	trouble.Store(true)
	fail := func(call int, w http.ResponseWriter, r *http.Request) bool {
		if !trouble.Load() || call%3 != 0 {
			return false
		}
		return refuse(w, http.StatusInternalServerError, "")
	}
	server.after = fail
	g := generator(t, server.options(t))
	r, err := g.Run(t.Context(), short(t, "enrol=2,unenrol=1"))
	require.NoError(t, err)
	require.Positive(t, r.Failed())
	users, uncertain := g.Users()
	require.GreaterOrEqual(t, len(users)+uncertain, len(server.enrolled()))
	require.Subset(t, server.enrolled(), ids(users), "who was acknowledged is there")
	trouble.Store(false)
	require.Zero(t, g.Remove(t.Context()))
	require.Empty(t, server.enrolled())
}

func ids(users []User) []string {
	all := []string{}
	for _, u := range users {
		all = append(all, u.ID)
	}
	return all
}

func TestShedIsApart(t *testing.T) {
	server := newGallery(t)
	server.before = func(call int, w http.ResponseWriter, r *http.Request) bool {
		switch call % 4 {
		case 0:
			w.Header().Set("Retry-After", []string{"1", "5"}[call/4%2])
			return refuse(w, http.StatusServiceUnavailable, "")
		case 1:
			return refuse(w, http.StatusBadRequest, "no face detected in the provided image")
		case 2:
			return refuse(w, http.StatusNotFound, "")
		}
		return false
	}
	r, err := generator(t, server.options(t)).Run(t.Context(), short(t, "search=1"))
	require.NoError(t, err)
	require.Greater(t, r.Requests, int64(20))
	require.Equal(t, r.Requests, r.Served.Count+r.Shed.Count+r.Failed())
	require.Equal(t, RetryAfter{Given: r.Shed.Count, Min: 1, Max: 5}, r.Shed.RetryAfter)
	require.InDelta(t, r.Requests/4, r.Unfound, 4, "a search that finds nobody is served")
	require.Equal(t, []Failure{{"search", "400", r.Failed(), "no face detected in the provided image"}}, r.Failures)
}

// An interruption ends the run early and waits for what was sent.
func TestInterruption(t *testing.T) {
	server := newGallery(t)
	ctx, cancel := context.WithCancel(t.Context())
	server.after = func(call int, _ http.ResponseWriter, _ *http.Request) bool {
		if call == 20 {
			cancel()
		}
		return false
	}
	g := generator(t, server.options(t))
	r, err := g.Run(ctx, Load{Concurrency: 4, Mix: Mix{enrol: 1}, Duration: time.Hour})
	require.NoError(t, err)
	require.True(t, r.Interrupted)
	require.Less(t, r.Duration, time.Hour.Seconds())
	users, uncertain := g.Users()
	require.Zero(t, uncertain)
	require.ElementsMatch(t, server.enrolled(), ids(users))
	require.GreaterOrEqual(t, len(users), 20)
}

// Requests are due evenly, however late they are sent: what a stall delays is
// measured from when it was due.
func TestArrivalsDoNotWaitForTheServer(t *testing.T) {
	now := time.Now()
	a := &arrivals{began: now.Add(-time.Hour), until: now.Add(time.Hour), rate: 10}
	for i := range 3 {
		due, ok := a.next()
		require.True(t, ok)
		require.Equal(t, a.began.Add(time.Duration(i)*100*time.Millisecond), due)
	}
	require.Equal(t, int64(2*3600*10), a.dueSince(a.began))
	require.Equal(t, int64(1), a.dueSince(a.until.Add(-100*time.Millisecond)), "who is due at the end is not")
	over := &arrivals{began: now.Add(-time.Hour), until: now.Add(-time.Second), rate: 10}
	_, ok := over.next()
	require.False(t, ok)

	r := newRecorder(now, now.Add(time.Hour))
	r.add(search, now, now.Add(5*time.Second), outcome{status: 200})
	require.InDelta(t, 5000, r.report().Served.Max, 5)
}

// A rate that one connection cannot keep shows as arrivals that were not sent and
// in the latencies of those that were.
func TestRateThatIsNotKept(t *testing.T) {
	server := newGallery(t)
	const stall = 200 * time.Millisecond
	server.before = func(call int, _ http.ResponseWriter, r *http.Request) bool {
		if call == 1 {
			time.Sleep(stall)
		}
		return false
	}
	r, err := generator(t, server.options(t)).Run(t.Context(), Load{Concurrency: 1, Rate: 200, Mix: SearchOnly(), Duration: 2 * stall})
	require.NoError(t, err)
	require.Equal(t, int64(80), r.Requests+r.Unsent, "every arrival is accounted for")
	require.GreaterOrEqual(t, r.Served.Max, float64(stall.Milliseconds()))
	late := slices.IndexFunc(r.curve, func(p plotter.XY) bool { return p.Y >= float64(stall.Milliseconds())/2 })
	require.NotEqual(t, -1, late, "%v", r.curve)
	require.Less(t, r.curve[late].X, 1.0, "more than a tenth of the arrivals waited for half the stall: %v", r.curve)
}

// Warming up is not measured.
func TestWarmup(t *testing.T) {
	now := time.Now()
	r := newRecorder(now, now.Add(time.Minute))
	r.add(search, now.Add(-time.Second), now.Add(-time.Millisecond), outcome{status: 200})
	require.Equal(t, int64(0), r.inTime)
	r.add(search, now.Add(-time.Second), now.Add(time.Second), outcome{status: 200})
	require.Equal(t, int64(1), r.inTime, "it took room while it was measured")
	require.Zero(t, r.report().Requests)
	r.add(search, now, now.Add(2*time.Minute), outcome{status: 200})
	require.Equal(t, int64(1), r.inTime, "it was not served in time")
	require.Equal(t, int64(1), r.report().Requests)
}

// What is recorded takes no memory, so that a run may last for days.
func TestRecordingTakesNoMemory(t *testing.T) {
	now := time.Now()
	r := newRecorder(now, now.Add(time.Hour))
	latency := time.Duration(0)
	require.Zero(t, testing.AllocsPerRun(10_000, func() {
		latency += 3 * time.Millisecond
		r.add(enrol, now, now.Add(latency), outcome{status: 200})
		r.add(search, now, now.Add(latency), outcome{status: 503, failure: "503"})
	}))
}

func TestOptionsAreChecked(t *testing.T) {
	server := newGallery(t)
	tooMuch := 100.5
	for name, spoil := range map[string]func(*Options){
		"threshold": func(o *Options) { o.Threshold = &tooMuch },
		"users":     func(o *Options) { o.Users = 0 }, "timeout": func(o *Options) { o.Timeout = 0 },
	} {
		o := server.options(t)
		spoil(&o)
		_, err := New(o)
		require.Error(t, err, name)
	}
	for _, l := range []Load{
		{Concurrency: 0, Duration: 1, Mix: SearchOnly()}, {Concurrency: 5000, Duration: 1, Mix: SearchOnly()}, {Concurrency: 1, Mix: SearchOnly()},
		{Concurrency: 1, Duration: 1, Rate: -1, Mix: SearchOnly()}, {Concurrency: 1, Duration: 1},
	} {
		_, err := generator(t, server.options(t)).Run(t.Context(), l)
		require.Error(t, err, "%+v", l)
	}
}
