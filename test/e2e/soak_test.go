package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/loadgen"
	"imago/config"
	"imago/core/calibration"
	"imago/test/fixture"
	"imago/test/pipeline"
)

const (
	// soakShare is how hard the soak presses, as a part of the capacity.
	soakShare = 0.7
	// soakWindow is how much of a long soak is summed up at a time.
	soakWindow = 10 * time.Minute
	// soakConnections are enough for the arrivals of a server that keeps up, and
	// few enough that nobody waits long where the machine has other work.
	soakConnections = 16
	// soakDrift is how much worse the p99 of a server may get with age.
	soakDrift = 1.1
	// soakTurns is how often an aged server and a fresh one take turns.
	soakTurns = 10
)

// soak is a long run of mixed traffic against one server, looked at between
// windows of time.
type soak struct {
	t         *testing.T
	s         *server
	load      *loadgen.Generator
	pictures  [][]byte
	templates [][]float32 // of the pictures, made by this process
	curve     calibration.Curve
	users     int           // how many there are at most
	window    time.Duration // how long a window is
	windows   int
	strict    bool // times and memory are held against limits too
}

// newSoak sets up a soak: short, with a few people, or as long as
// IMAGO_TORTURE_SOAK says.
func newSoak(t *testing.T) *soak {
	t.Helper()
	x := &soak{t: t, users: 60, window: 1500 * time.Millisecond, windows: 3}
	cast := 0 // stills of each person
	if set := os.Getenv("IMAGO_TORTURE_SOAK"); set != "" {
		total, err := time.ParseDuration(set)
		require.NoError(t, err)
		x.windows = max(3, int(total/soakWindow))
		x.window, x.users, cast = total/time.Duration(x.windows), 1000, 5
		x.strict = x.window >= soakWindow
	}
	p := pipeline.New(t)
	var pictures [][]byte // the drawing is the canary
	for _, name := range []string{"obama.jpg", "obama2.jpg", "biden.jpg"} {
		pictures = append(pictures, fixture.ReadPortrait(t, name))
	}
	for i := range cast {
		paths, err := filepath.Glob(filepath.Join(fixture.Faces(t, "cast"), fmt.Sprintf("[a-z]*%d.png", i+1)))
		require.NoError(t, err)
		for _, path := range paths {
			picture, err := os.ReadFile(path)
			require.NoError(t, err)
			pictures = append(pictures, picture)
		}
	}
	for _, picture := range pictures {
		x.pictures = append(x.pictures, picture)
		x.templates = append(x.templates, template(t, p, picture))
	}
	manifest, err := config.LoadManifest(config.BuiltinModels, p.Config.Models.Embedder)
	require.NoError(t, err)
	x.curve = calibration.Curve{Midpoint: manifest.Calibration.Midpoint, Steepness: manifest.Calibration.Steepness}
	return x
}

// serve starts the server, with its file, and fills its gallery.
func (x *soak) serve(database string) {
	x.t.Helper()
	x.s = start(x.t, "IMAGO_STORE_MEMORY_PATH="+database)
	target, err := loadgen.ParseTarget(x.s.url)
	require.NoError(x.t, err)
	x.load, err = loadgen.New(loadgen.Options{Target: target, Key: apiKey, Pictures: x.pictures, Users: x.users, Timeout: callTimeout})
	require.NoError(x.t, err)
	x.fill()
}

// run sends a load and requires that every request was served.
func (x *soak) run(load loadgen.Load) loadgen.Report {
	x.t.Helper()
	r, err := x.load.Run(x.t.Context(), load)
	require.NoError(x.t, err)
	require.Empty(x.t, r.Failures, "%s", x.s.log)
	require.Nil(x.t, r.Shed, "the queue has room for every connection")
	return r
}

// fill enrols half of the users that there may be, so that churn keeps their
// number away from both ends.
func (x *soak) fill() {
	x.t.Helper()
	mix, err := loadgen.ParseMix("enrol=1")
	require.NoError(x.t, err)
	for tries := 0; ; tries++ {
		users, _ := x.load.Users()
		if len(users) >= x.users/2 {
			return
		}
		require.Less(x.t, tries, 1000, "the gallery does not fill")
		x.run(loadgen.Load{Concurrency: 2, Mix: mix, Duration: 200 * time.Millisecond})
	}
}

// enrolled returns the IDs that GET /users lists, page by page.
func (x *soak) enrolled() (ids []string) {
	x.t.Helper()
	for cursor := ""; ; {
		page := read[roster](x.t, x.s.must(http.MethodGet, "/users?limit=100&cursor="+cursor, ""))
		for _, u := range page.Users {
			ids = append(ids, u.UserID)
		}
		if cursor = page.Cursor; cursor == "" {
			return ids
		}
	}
}

// bruteForce returns the best matches of a picture among all users, at most 100.
func (x *soak) bruteForce(users []loadgen.User, picture int) []match {
	var all []match
	for _, u := range users {
		similarity := x.curve.Percent(cosine(x.templates[picture], x.templates[u.Picture]))
		all = append(all, match{u.ID, similarity})
	}
	slices.SortFunc(all, func(a, b match) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), strings.Compare(a.UserID, b.UserID))
	})
	return all[:min(100, len(all))]
}

// compare holds the gallery at rest against the truth: its size, its users, and
// the searches with every picture.
func (x *soak) compare() {
	x.t.Helper()
	users, doubtful := x.load.Users()
	require.Zero(x.t, doubtful)
	want := []string{}
	for _, u := range users {
		want = append(want, u.ID)
	}
	require.Equal(x.t, want, x.enrolled())
	require.InDelta(x.t, len(users), x.s.metric(`imago_gallery_users{collection="users"}`), 0)
	for picture := range x.pictures {
		body := faceJSON(x.pictures[picture])
		got := x.s.must(http.MethodPost, "/users/search", body[:len(body)-1]+`,"threshold":0,"limit":100}`).matches(x.t)
		truth := x.bruteForce(users, picture)
		require.Len(x.t, got, len(truth))
		for i := range truth {
			require.Equal(x.t, truth[i].UserID, got[i].UserID, "rank %d of picture %d", i+1, picture)
			require.InDelta(x.t, truth[i].Similarity, got[i].Similarity, 0.01)
		}
	}
}

// resident is what a server holds at rest.
type resident struct{ rss, goroutines, files float64 }

func (x *soak) resident() resident {
	x.t.Helper()
	return resident{x.s.metric("process_resident_memory_bytes"), x.s.metric("go_goroutines"), x.s.metric("process_open_fds")}
}

// settled returns what the server holds once it is back to a baseline: the
// server notices closed connections when it gets to it.
func (x *soak) settled(baseline resident) resident {
	x.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		now := x.resident()
		if now.goroutines <= baseline.goroutines && now.files <= baseline.files {
			return now
		}
		require.True(x.t, time.Now().Before(deadline), "leaked: %+v, at first %+v", now, baseline)
	}
}

// canary enrols one more person again and again, who must be found while
// enrolled and never after, and returns how often.
func (x *soak) canary(ctx context.Context, portrait string, pause time.Duration) (rounds int, err error) {
	for ; ctx.Err() == nil; rounds++ {
		for _, step := range []struct {
			method, path string
			status       int
		}{
			{http.MethodPost, "/users/canary", 200}, {http.MethodPost, "/users/search", 200},
			{http.MethodDelete, "/users/canary", 200}, {http.MethodPost, "/users/search", 404},
		} {
			body := portrait
			if step.path == "/users/search" {
				body = portrait[:len(portrait)-1] + `,"threshold":99.9}`
			}
			// A call that has begun is seen through, so that nobody stays behind.
			got, err := x.s.call(context.WithoutCancel(ctx), step.method, step.path, body)
			if err != nil {
				return rounds, err
			}
			if got.status != step.status || step.path == "/users/search" && got.status == 200 && !strings.Contains(got.body, `"canary"`) {
				return rounds, fmt.Errorf("round %d: %s %s: %d %s", rounds, step.method, step.path, got.status, got.body)
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return rounds, nil
}

// withCanary sends a load while somebody comes and goes.
func (x *soak) withCanary(load loadgen.Load) (loadgen.Report, int) {
	x.t.Helper()
	type end struct {
		rounds int
		err    error
	}
	ctx, cancel := context.WithCancel(x.t.Context())
	defer cancel()
	over, face := make(chan end, 1), faceJSON(portrait(x.t))
	go func() {
		rounds, err := x.canary(ctx, face, load.Duration/20)
		over <- end{rounds, err}
	}()
	r := x.run(load)
	cancel()
	e := <-over
	require.NoError(x.t, e.err)
	return r, e.rounds
}

// Mixed traffic at 70 % of what the server can do, with people coming and going,
// changes nothing but the gallery: after each window its users are those that
// were acknowledged, searches find what brute force finds, and the server holds
// no more goroutines, files or memory than before. `make torture` soaks for an
// hour, and then latency may not creep up either.
func TestSoak(t *testing.T) {
	t.Parallel()
	x := newSoak(t)
	database := filepath.Join(t.TempDir(), "imago.db")
	x.serve(database)
	mix, err := loadgen.ParseMix("search=8,enrol=1,unenrol=1")
	require.NoError(t, err)
	capacity := x.run(loadgen.Load{Concurrency: 8, Mix: mix, Warmup: x.window / 20, Duration: max(x.window/4, time.Second)}).Throughput
	x.compare()
	baseline := x.resident()
	t.Logf("capacity %.1f/s; at rest %s", capacity, baseline)

	steady := loadgen.Load{Concurrency: soakConnections, Rate: soakShare * capacity, Mix: mix, Duration: x.window}
	var windows []loadgen.Report
	var held []resident
	for i := range x.windows {
		r, rounds := x.withCanary(steady)
		x.compare()
		windows, held = append(windows, r), append(held, x.settled(baseline))
		users, _ := x.load.Users()
		t.Logf("window %d of %s: %.1f/s, p50 %.1f ms, p99 %.1f ms, max %.0f ms; unsent %d; users %d; canary %d; at rest %s",
			i+1, x.window, r.Throughput, r.Served.P50, r.Served.P99, r.Served.Max, r.Unsent, len(users), rounds, held[i])
	}
	aged, fresh := x.besideFresh(steady)
	t.Logf("in turns, p99: this server %.1f ms, a fresh one %.1f ms", aged, fresh)
	x.judge(windows, held, aged, fresh)

	x.s.kill()
	x.s = start(t, "IMAGO_STORE_MEMORY_PATH="+database)
	x.compare()
}

func (r resident) String() string {
	return fmt.Sprintf("%.1f MiB, %.0f goroutines, %.0f files", r.rss/(1<<20), r.goroutines, r.files)
}

// besideFresh sends a load to the server and to a fresh one in turns, and returns
// each one's p99 in ms, the median over its turns: what else the machine does
// meets both alike, so a difference is age.
func (x *soak) besideFresh(load loadgen.Load) (aged, fresh float64) {
	x.t.Helper()
	twin := *x
	twin.serve(filepath.Join(x.t.TempDir(), "fresh.db"))
	turns := 1
	if x.strict {
		turns = soakTurns
	}
	load.Duration = max(load.Duration/(2*soakTurns), time.Second)
	var of [2][]float64
	for range turns {
		for i, server := range []*soak{x, &twin} {
			r, _ := server.withCanary(load)
			of[i] = append(of[i], r.Served.P99)
		}
	}
	x.t.Logf("p99 of each turn: this server %.1f, a fresh one %.1f", of[0], of[1])
	twin.compare()
	twin.s.kill()
	return median(of[0]), median(of[1])
}

// median returns the middle value, or the mean of the middle two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// judge holds the last window against the first one, and where its p99 is worse,
// the server against a fresh one: ten minutes of a machine differ by more than
// the drift on their own.
func (x *soak) judge(windows []loadgen.Report, held []resident, aged, fresh float64) {
	x.t.Helper()
	first, last := 0, len(windows)-1
	slack := 64.0 * (1 << 20)
	if x.strict {
		slack = 0.1*held[first].rss + 8*(1<<20)
		if windows[last].Served.P99 > soakDrift*windows[first].Served.P99 {
			x.t.Logf("the last window's p99 is above %.1f times the first's", soakDrift)
			require.LessOrEqual(x.t, aged, soakDrift*fresh, "p99 creeps up")
		}
	}
	require.LessOrEqual(x.t, held[last].rss, held[first].rss+slack, "memory grows")
}
