package bench

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkGrowthChurn measures searches of 1,000,000 faces of 128 numbers on one
// core with a threshold of 0.40, in turns of a second while nothing changes and
// while faces come and go on another: 1 % of the gallery a minute, and the whole
// gallery a minute. How long the writes that happened during a search took is the most
// that they can have held it up by locks.
func BenchmarkGrowthChurn(b *testing.B) {
	n := rowsOfBench(b)
	g := newGrown(128, 1)
	g.growTo(b, n)
	for _, c := range []struct {
		share  string
		every  time.Duration
		rounds int
	}{{"1%", 100 * time.Minute / time.Duration(n), 20}, {"100%", time.Minute / time.Duration(n), 6}} {
		b.Run("a minute="+c.share, func(b *testing.B) {
			for b.Loop() {
				var still, churned, writes, held []time.Duration
				for range c.rounds {
					quiet, _, _ := g.turn(b, 0)
					busy, changes, share := g.turn(b, c.every)
					still, churned = append(still, quiet...), append(churned, busy...)
					writes, held = append(writes, changes...), append(held, share...)
				}
				for _, all := range [][]time.Duration{still, churned, writes, held} {
					slices.Sort(all)
				}
				b.Logf("%d searches while nothing changes: %s", len(still), spread(still))
				b.Logf("%d searches during %d writes: %s", len(churned), len(writes), spread(churned))
				b.Logf("writes: %s", spread(writes))
				b.Logf("all writes during one search: %s", spread(held))
				b.ReportMetric(ratio(quantile(churned, 0.5), quantile(still, 0.5)), "p50-ratio")
				b.ReportMetric(ratio(quantile(churned, 0.99), quantile(still, 0.99)), "p99-ratio")
				b.ReportMetric(ratio(quantile(churned, 0.999), quantile(still, 0.999)), "p99.9-ratio")
				b.ReportMetric(float64(writes[len(writes)-1].Nanoseconds())/1000, "write-us-max")
				b.ReportMetric(float64(held[len(held)-1].Nanoseconds())/1000, "held-us-max")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// while is when something began and ended.
type while struct{ began, ended time.Time }

// turn searches for a second, while faces are replaced at intervals, if there is
// one. It returns how long searches and writes took, and how much of the time of
// every search somebody was writing.
func (g *grown) turn(b *testing.B, every time.Duration) (searches, writes, held []time.Duration) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Second)
	defer cancel()
	var changed []while
	var wait sync.WaitGroup
	if every > 0 {
		wait.Go(func() { changed = g.churn(ctx, every) })
	}
	var searched []while
	for i := 0; ctx.Err() == nil; i++ {
		began := time.Now()
		_, err := g.Search(b.Context(), g.queries[i%len(g.queries)], 10, 0.4)
		require.NoError(b, err)
		searched = append(searched, while{began, time.Now()})
	}
	wait.Wait()
	for _, w := range changed {
		writes = append(writes, w.ended.Sub(w.began))
	}
	for _, s := range searched {
		searches = append(searches, s.ended.Sub(s.began))
		for len(changed) > 0 && changed[0].ended.Before(s.began) {
			changed = changed[1:]
		}
		var share time.Duration
		for _, w := range changed {
			if w.began.After(s.ended) {
				break
			}
			share += earlier(w.ended, s.ended).Sub(later(w.began, s.began))
		}
		held = append(held, share)
	}
	return searches, writes, held
}

// churn replaces a random face at every interval until the context ends.
func (g *grown) churn(ctx context.Context, every time.Duration) (changed []while) {
	for next := time.Now(); ctx.Err() == nil; next = next.Add(every) {
		time.Sleep(time.Until(next))
		at, v := g.rng.IntN(len(g.people)), g.vector()
		p := &person{id: strconv.Itoa(g.rng.Int())}
		began := time.Now()
		g.remove(g.people[at])
		between := time.Now()
		g.add(p, v)
		changed = append(changed, while{began, between}, while{between, time.Now()})
		g.people[at] = p
	}
	return changed
}

// BenchmarkGrowthCancel measures how soon a search of 1,000,000 faces of 512
// numbers, on all cores, returns when its context ends at a random moment.
func BenchmarkGrowthCancel(b *testing.B) {
	g := newGrown(512, 0)
	g.growTo(b, rowsOfBench(b))
	for _, c := range []struct {
		name    string
		minimum float64
		company int
	}{{"threshold", 0.4, 0}, {"top10", -1, 0}, {"top10 in company", -1, 4}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				stop := g.company(b, c.company)
				took := g.cancel(b, c.minimum)
				stop()
				slices.Sort(took)
				b.Logf("%d searches given up: %s", len(took), spread(took))
				b.ReportMetric(float64(quantile(took, 0.5).Nanoseconds())/1000, "return-us-p50")
				b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1000, "return-us-max")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// company has some others search without end, until stop is called.
func (g *grown) company(b *testing.B, n int) (stop func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			for ctx.Err() == nil {
				_, _ = g.Search(ctx, g.queries[i], 10, 0.4)
			}
		})
	}
	return func() { cancel(); wait.Wait() }
}

// cancel gives up 200 searches, each somewhere on its way, and returns how long each took
// from then until it returned. One that ended before is not counted.
func (g *grown) cancel(b *testing.B, minimum float64) (took []time.Duration) {
	b.Helper()
	began := time.Now()
	_, err := g.Search(b.Context(), g.queries[0], 10, minimum)
	require.NoError(b, err)
	whole := time.Since(began)
	for i := range 200 {
		ctx, cancel := context.WithCancel(b.Context())
		returned := make(chan time.Time, 1)
		var err error
		go func() {
			_, err = g.Search(ctx, g.queries[i%len(g.queries)], 10, minimum)
			returned <- time.Now()
		}()
		time.Sleep(time.Duration(g.rng.Int64N(int64(whole))))
		at := time.Now()
		cancel()
		if back := <-returned; err != nil {
			require.ErrorIs(b, err, context.Canceled)
			took = append(took, back.Sub(at))
		}
	}
	require.NotEmpty(b, took)
	return took
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
