package loadgen

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// longest is the longest latency recorded; longer ones count as it.
	longest = 10 * time.Minute
	// digits is the precision of latencies: three significant digits.
	digits = 3
)

// recorder counts the outcomes of the requests of a run. Latencies go into
// histograms (G. Tene, HdrHistogram), so that a long run takes no more memory
// than a short one. Safe for concurrent use.
type recorder struct {
	from, until time.Time // what is measured begins in between

	mu       sync.Mutex
	served   [kinds]*hdrhistogram.Histogram // microseconds
	unfound  int64
	inTime   int64 // served before until
	due      int64 // of all recorded
	shed     *hdrhistogram.Histogram
	retry    RetryAfter
	failures map[string]*Failure
}

func newRecorder(from, until time.Time) *recorder {
	r := &recorder{from: from, until: until, shed: newHistogram(), failures: map[string]*Failure{}}
	for k := range r.served {
		r.served[k] = newHistogram()
	}
	return r
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longest.Microseconds(), digits)
}

// add records a request that was due and ended at these times. Requests that
// were due before the measurement began count for the throughput alone.
func (r *recorder) add(k kind, due, end time.Time, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.failure == "" && !end.Before(r.from) && end.Before(r.until) {
		r.inTime++
	}
	if due.Before(r.from) {
		return
	}
	r.due++
	// Within the bounds of every histogram, so that recording cannot fail.
	latency := min(max(end.Sub(due), time.Microsecond), longest).Microseconds()
	switch {
	case o.failure == "":
		_ = r.served[k].RecordValue(latency)
		if k == search && o.status != http.StatusOK {
			r.unfound++
		}
	case o.shed():
		_ = r.shed.RecordValue(latency)
		r.retry.note(o.retryAfter)
	default:
		r.fail(k, o)
	}
}

// fail counts a failure by operation and class, of which there are few.
func (r *recorder) fail(k kind, o outcome) {
	key := k.String() + " " + o.failure
	f := r.failures[key]
	if f == nil {
		f = &Failure{Operation: k.String(), Class: o.failure, Example: o.example}
		r.failures[key] = f
	}
	f.Count++
}

// report summarises what was recorded so far.
func (r *recorder) report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := Report{Requests: r.due, Unfound: r.unfound, Failures: []Failure{}}
	all := newHistogram()
	for k, h := range r.served {
		all.Merge(h)
		if h.TotalCount() > 0 {
			report.Operations = append(report.Operations, Operation{kind(k).String(), summarise(h)})
		}
	}
	report.Served, report.curve = summarise(all), curve(all)
	if r.shed.TotalCount() > 0 {
		report.Shed = &Shed{summarise(r.shed), r.retry}
	}
	for _, key := range slices.Sorted(maps.Keys(r.failures)) {
		report.Failures = append(report.Failures, *r.failures[key])
	}
	return report
}

// summarise returns the latencies of a histogram of microseconds.
func summarise(h *hdrhistogram.Histogram) Latency {
	ms := func(percentile float64) float64 { return float64(h.ValueAtPercentile(percentile)) / 1e3 }
	return Latency{
		Count: h.TotalCount(), Mean: math.Round(h.Mean()) / 1e3, P50: ms(50), P90: ms(90), P95: ms(95), P99: ms(99), P999: ms(99.9),
		Max: float64(h.Max()) / 1e3,
	}
}
