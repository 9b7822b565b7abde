package loadgen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// MaxConcurrency is how many connections a run may have.
const MaxConcurrency = 4096

// Load is the load of a run.
type Load struct {
	// Concurrency is the number of connections. Without a rate each sends its
	// next request as soon as it has an answer (closed loop).
	Concurrency int
	// Rate is arrivals per second, evenly spaced (open loop). The wait for a free
	// connection counts as latency, so that stalls of the server are not hidden by
	// sending less (coordinated omission; G. Tene, "How NOT to Measure Latency"). 0
	// is a closed loop.
	Rate float64
	Mix  Mix
	// Warmup is not measured, Duration is.
	Warmup, Duration time.Duration
}

// Check validates a load.
func (l Load) Check() error {
	switch {
	case l.Concurrency < 1 || l.Concurrency > MaxConcurrency:
		return errors.New("the concurrency must be 1 to 4096")
	case !(l.Rate >= 0 && l.Rate <= 1e6):
		return errors.New("the rate must be 0 to 1000000 a second")
	case l.Duration <= 0 || l.Warmup < 0:
		return errors.New("the duration must be positive, the warm-up not negative")
	}
	return l.Mix.check()
}

// Run sends load until its time is over or the context ends. It waits for the answers to
// all requests sent, so that it is known who is enrolled.
func (g *Generator) Run(ctx context.Context, load Load) (Report, error) {
	if err := load.Check(); err != nil {
		return Report{}, err
	}
	began := time.Now()
	from := began.Add(load.Warmup)
	until := from.Add(load.Duration)
	r := newRecorder(from, until)
	arrivals := &arrivals{began: began, until: until, rate: load.Rate}
	var all sync.WaitGroup
	for range load.Concurrency {
		all.Go(func() { g.work(ctx, load.Mix, arrivals, r) })
	}
	all.Wait()

	report := r.report()
	report.Concurrency, report.Rate, report.Mix, report.Warmup = load.Concurrency, load.Rate, load.Mix.String(), load.Warmup.Seconds()
	measured := load.Duration
	if ctx.Err() != nil {
		measured = max(0, min(time.Since(from), measured))
		report.Interrupted = true
	} else if load.Rate > 0 {
		report.Unsent = arrivals.dueSince(from) - report.Requests
	}
	report.Duration = measured.Seconds()
	if measured > 0 {
		report.Throughput = math.Round(100*float64(r.inTime)/measured.Seconds()) / 100
	}
	return report, nil
}

// arrivals is when requests are due. Safe for concurrent use.
type arrivals struct {
	began, until time.Time
	rate         float64
	taken        atomic.Int64
}

// next returns when the caller's next request is due, which may be past. It is
// false when the time is over.
func (a *arrivals) next() (time.Time, bool) {
	now := time.Now()
	if a.rate == 0 {
		return now, now.Before(a.until)
	}
	due := a.due(a.taken.Add(1) - 1)
	return due, due.Before(a.until) && now.Before(a.until)
}

func (a *arrivals) due(i int64) time.Time {
	return a.began.Add(time.Duration(float64(i) / a.rate * float64(time.Second)))
}

// dueSince returns how many arrivals are due from a time until the end.
func (a *arrivals) dueSince(from time.Time) int64 {
	return a.before(a.until) - a.before(from)
}

// before returns how many arrivals are due before a time.
func (a *arrivals) before(t time.Time) int64 {
	n := int64(math.Ceil(t.Sub(a.began).Seconds() * a.rate))
	// The times are rounded to nanoseconds, which may move one of them.
	for n > 0 && !a.due(n-1).Before(t) {
		n--
	}
	for a.due(n).Before(t) {
		n++
	}
	return n
}

// work is one connection: it sends one request after the other.
func (g *Generator) work(ctx context.Context, mix Mix, arrivals *arrivals, r *recorder) {
	client := g.options.Target.client(g.options.Timeout)
	defer client.CloseIdleConnections()
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for {
		due, ok := arrivals.next()
		if !ok || ctx.Err() != nil {
			return
		}
		if wait := time.Until(due); wait > 0 && !sleep(ctx, wait) {
			return
		}
		k, o := g.sendNext(context.WithoutCancel(ctx), client, mix, random)
		r.add(k, due, time.Now(), o)
	}
}

// sendNext makes one request of the mix.
func (g *Generator) sendNext(ctx context.Context, client *http.Client, mix Mix, random *rand.Rand) (kind, outcome) {
	k, n := g.pick(mix, random)
	o := g.send(ctx, client, k, n)
	if k != search {
		g.users.finish(n, o.userState(k))
	}
	return k, o
}

// pick draws an operation and finds a user, or a picture, for it. Where everybody is
// enrolled somebody is unenrolled, and the other way round; where neither can be,
// because all are in progress, it is a search.
func (g *Generator) pick(mix Mix, random *rand.Rand) (kind, uint64) {
	if k := mix.draw(random); k != search {
		for _, k := range []kind{k, enrol + unenrol - k} {
			take := func() (uint64, bool) { return g.users.take(random) }
			if k == enrol {
				take = g.users.begin
			}
			if n, ok := take(); ok {
				return k, n
			}
		}
	}
	return search, random.Uint64N(uint64(len(g.searches)))
}

// send makes a request about a user's number or, for a search, about a picture.
func (g *Generator) send(ctx context.Context, client *http.Client, k kind, n uint64) outcome {
	method, url, body := http.MethodPost, g.options.Target.base+g.path+"search", []byte(nil)
	switch k {
	case search:
		body = g.searches[g.picture(n)]
	case enrol:
		url, body = g.options.Target.base+g.path+name(g.prefix, n), g.enrols[g.picture(n)]
	case unenrol:
		method, url = http.MethodDelete, g.options.Target.base+g.path+name(g.prefix, n)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return transportOutcome(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("x-api-key", g.options.Key)
	req.Header.Set("User-Agent", "imago-bench")
	res, err := client.Do(req)
	if err != nil {
		return transportOutcome(err)
	}
	o := parseAnswer(k, res)
	// A connection can be reused once the answer is read to its end.
	_, _ = io.CopyN(io.Discard, res.Body, answerLimit)
	_ = res.Body.Close()
	return o
}
