package telemetry

import "github.com/prometheus/client_golang/prometheus"

// The calls of a store, as the values of the label operation.
const (
	callAdd    = "add"
	callRemove = "remove"
	callGet    = "get"
	callSearch = "search"
	callScan   = "scan"
	callCount  = "count"
)

var calls = []string{callAdd, callRemove, callGet, callSearch, callScan, callCount}

// events are the counters of what happened to requests on their way.
type events struct {
	searches      *prometheus.CounterVec
	refusals      *prometheus.CounterVec
	tokenRefusals *prometheus.CounterVec
	storeErrors   *prometheus.CounterVec
	auditErrors   prometheus.Counter
}

func newEvents() events {
	return events{
		searches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imago_searches_total", Help: "Searches answered, by whether anybody was found.",
		}, []string{"collection", "result"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imago_refusals_total", Help: "Reasons for which requests were refused or failed.",
		}, []string{"reason"}),
		tokenRefusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imago_token_refusals_total", Help: "Face tokens that were refused.",
		}, []string{"reason"}),
		storeErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imago_store_errors_total", Help: "Calls that the vector store could not answer.",
		}, []string{"operation", "kind"}),
		auditErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "imago_audit_errors_total", Help: "Lines that the audit log could not take.",
		}),
	}
}

func (e events) collectors() []prometheus.Collector {
	return []prometheus.Collector{e.searches, e.refusals, e.tokenRefusals, e.storeErrors, e.auditErrors}
}

// initialise makes the series whose labels are known exist from the start.
func (e events) initialise() {
	for _, call := range calls {
		for _, kind := range failures {
			e.storeErrors.WithLabelValues(call, kind)
		}
	}
}

// ExpectRefusals names the reasons that Refused will be told, so that each is
// counted from zero.
func (m *Metrics) ExpectRefusals(reasons []string) {
	for _, reason := range reasons {
		m.events.refusals.WithLabelValues(reason)
	}
}

// ExpectSearches names the collections that Searched will be told.
func (m *Metrics) ExpectSearches(collections []string) {
	for _, collection := range collections {
		m.events.searches.WithLabelValues(collection, "match")
		m.events.searches.WithLabelValues(collection, "no_match")
	}
}

// Refused counts a reason for which a request was refused. It must be one of
// few: each value is a series that stays.
func (m *Metrics) Refused(reason string) { m.events.refusals.WithLabelValues(reason).Inc() }

// Searched counts a search of a collection, one of those that exist, by whether
// it found anybody.
func (m *Metrics) Searched(collection string, found bool) {
	result := "no_match"
	if found {
		result = "match"
	}
	m.events.searches.WithLabelValues(collection, result).Inc()
}

// ExpectTokenRefusal names a reason that TokenRefused will be told.
func (m *Metrics) ExpectTokenRefusal(reason string) { m.events.tokenRefusals.WithLabelValues(reason) }

// TokenRefused counts a face token that was refused, under one of few reasons.
func (m *Metrics) TokenRefused(reason string) { m.events.tokenRefusals.WithLabelValues(reason).Inc() }

// AuditFailed counts a line that the audit log could not take.
func (m *Metrics) AuditFailed() { m.events.auditErrors.Inc() }

// storeFailed counts a call that the store could not answer.
func (m *Metrics) storeFailed(call string, err error) {
	if kind := failure(err); kind != "" {
		m.events.storeErrors.WithLabelValues(call, kind).Inc()
	}
}

// WatchQueue adds the gauges of the inference queue. load returns how many
// pictures are worked on and how many wait; workers and queue are the most that
// there can be of each. It may be called once.
func (m *Metrics) WatchQueue(load func() (working, waiting int), workers, queue int) {
	gauge := func(name, help string, value func() int) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	gauge("imago_inference_working", "Workers that are busy with pictures.", func() int { working, _ := load(); return working })
	gauge("imago_inference_queue_depth", "Pictures that wait for a worker.", func() int { _, waiting := load(); return waiting })
	gauge("imago_inference_workers", "Pictures that can be worked on at once.", func() int { return workers })
	gauge("imago_inference_queue_limit", "Pictures that can wait; one more is answered 503.", func() int { return queue })
}
