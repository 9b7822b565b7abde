package loadgen

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
	"gonum.org/v1/plot/plotter"
)

// Report is what a run measured. Latencies are milliseconds: at a rate of
// arrivals from the moment when the request was due, else from when it was sent,
// until the whole answer was there.
type Report struct {
	Concurrency int     `json:"concurrency"`
	Rate        float64 `json:"rate"` // arrivals per second, 0 for none
	Mix         string  `json:"mix"`
	Warmup      float64 `json:"warmupSeconds"`
	Duration    float64 `json:"durationSeconds"`
	// Interrupted says that the run ended early; Duration is what it lasted.
	Interrupted bool `json:"interrupted,omitempty"`

	// Requests were due during the measurement, with any outcome.
	Requests int64 `json:"requests"`
	// Throughput is requests served per second.
	Throughput float64 `json:"throughput"`
	// Unsent are arrivals for which no connection was free before the end: the
	// server, or too few connections, did not keep up with the rate.
	Unsent int64 `json:"unsent"`
	// Served are the latencies of all operations that were served, Operations
	// those of each.
	Served     Latency     `json:"served"`
	Operations []Operation `json:"operations"`
	// Unfound are the searches, served too, that found nobody.
	Unfound  int64     `json:"unfound"`
	Shed     *Shed     `json:"shed,omitempty"`
	Failures []Failure `json:"failures"`

	// curve has the number of nines of a percentile (90 % is 1, 99 % is 2) as X, and
	// its latency in milliseconds as Y.
	curve plotter.XYs
}

// Operation is the latencies of one operation.
type Operation struct {
	Name string `json:"name"`
	Latency
}

// Latency summarises latencies, in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// Shed is requests that were answered with 503, and how soon.
type Shed struct {
	Latency
	RetryAfter RetryAfter `json:"retryAfter"`
}

// RetryAfter is what the header of that name said, in seconds.
type RetryAfter struct {
	Given int64 `json:"given"` // answers that had it
	Min   int   `json:"min"`
	Max   int   `json:"max"`
}

func (r *RetryAfter) note(seconds int) {
	if seconds < 0 {
		return
	}
	if r.Given == 0 {
		r.Min = seconds
	}
	r.Given++
	r.Min, r.Max = min(r.Min, seconds), max(r.Max, seconds)
}

// Failure is a class of errors: an HTTP status, or timeout, refused, reset,
// closed, dns, tls, cancelled or other.
type Failure struct {
	Operation string `json:"operation"`
	Class     string `json:"class"`
	Count     int64  `json:"count"`
	Example   string `json:"example"` // what the first of them said
}

// Failed returns how many requests failed; those that were shed are none.
func (r Report) Failed() (n int64) {
	for _, f := range r.Failures {
		n += f.Count
	}
	return n
}

// nineStep is the distance between the points of a curve.
const nineStep = 0.05

// curve returns the latencies by percentile, up to the last one that a single
// request does not decide.
func curve(h *hdrhistogram.Histogram) plotter.XYs {
	if h.TotalCount() == 0 {
		return nil
	}
	points := plotter.XYs{{X: 0, Y: float64(h.Min()) / 1e3}}
	for nines := nineStep; nines <= math.Log10(float64(h.TotalCount())); nines += nineStep {
		percentile := 100 * (1 - math.Pow(10, -nines))
		points = append(points, plotter.XY{X: nines, Y: float64(h.ValueAtPercentile(percentile)) / 1e3})
	}
	return points
}
