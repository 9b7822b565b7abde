package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

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

// events are the counters of events during requests.
type events struct {
	searches      *prometheus.CounterVec
	verifications *prometheus.CounterVec
	refusals      *prometheus.CounterVec
	tokenRefusals *prometheus.CounterVec
	storeErrors   *prometheus.CounterVec
	auditErrors   prometheus.Counter
	expired       *prometheus.CounterVec
}

// newEvents registers the counters. The series whose labels are known start at zero.
func newEvents(r prometheus.Registerer) events {
	e := events{
		searches:      counter(r, "imago_searches_total", "Searches answered, by whether anybody was found.", "collection", "result"),
		verifications: counter(r, "imago_verifications_total", "Comparisons with one user answered, by whether the face matched.", "collection", "result"),
		refusals:      counter(r, "imago_refusals_total", "Reasons for which requests were refused or failed.", "reason"),
		tokenRefusals: counter(r, "imago_token_refusals_total", "Face tokens that were refused.", "reason"),
		storeErrors:   counter(r, "imago_store_errors_total", "Calls that the vector store could not answer.", "operation", "kind"),
		auditErrors:   counter(r, "imago_audit_errors_total", "Lines that the audit log could not take.").WithLabelValues(),
		expired:       counter(r, "imago_expired_users_total", "Users erased because they had expired.", "collection"),
	}
	for _, call := range calls {
		for _, kind := range failureKinds {
			e.storeErrors.WithLabelValues(call, kind)
		}
	}
	return e
}

// counter registers a counter.
func counter(r prometheus.Registerer, name, help string, labels ...string) *prometheus.CounterVec {
	return promauto.With(r).NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// ExpectRefusals creates the series of the reasons, so that each starts at zero.
func (m *Metrics) ExpectRefusals(reasons []string) {
	for _, reason := range reasons {
		m.events.refusals.WithLabelValues(reason)
	}
}

// ExpectSearches creates the series of the collections: of searches, of
// verifications, and of users who expire.
func (m *Metrics) ExpectSearches(collections []string) {
	for _, collection := range collections {
		for _, counter := range []*prometheus.CounterVec{m.events.searches, m.events.verifications} {
			counter.WithLabelValues(collection, "match")
			counter.WithLabelValues(collection, "no_match")
		}
		m.events.expired.WithLabelValues(collection)
	}
}

// Refused counts a reason for which a request was refused. It must be one of a small
// set: each value is a series.
func (m *Metrics) Refused(reason string) { m.events.refusals.WithLabelValues(reason).Inc() }

// Searched counts a search of an existing collection, by whether it had a match.
func (m *Metrics) Searched(collection string, found bool) {
	m.events.searches.WithLabelValues(collection, matched(found)).Inc()
}

// Verified counts a comparison with one user of an existing collection, by whether the
// face matched.
func (m *Metrics) Verified(collection string, match bool) {
	m.events.verifications.WithLabelValues(collection, matched(match)).Inc()
}

func matched(match bool) string {
	if match {
		return "match"
	}
	return "no_match"
}

// ExpectTokenRefusal creates the series of a reason.
func (m *Metrics) ExpectTokenRefusal(reason string) { m.events.tokenRefusals.WithLabelValues(reason) }

// TokenRefused counts a rejected face token, under one of a small set of reasons.
func (m *Metrics) TokenRefused(reason string) { m.events.tokenRefusals.WithLabelValues(reason).Inc() }

// UsersExpired counts users of a collection who were erased because they had expired.
func (m *Metrics) UsersExpired(collection string, users int) {
	m.events.expired.WithLabelValues(collection).Add(float64(users))
}

// AuditFailed counts a line that could not be written to the audit log.
func (m *Metrics) AuditFailed() { m.events.auditErrors.Inc() }

// storeFailed counts a failed call of the store.
func (m *Metrics) storeFailed(call string, err error) {
	if kind := failureKind(err); kind != "" {
		m.events.storeErrors.WithLabelValues(call, kind).Inc()
	}
}

// WatchQueue registers the gauges of the inference queue. load returns how many
// pictures are being processed and how many are queued; workers and queue are the limits
// of each. Call it once.
func (m *Metrics) WatchQueue(load func() (working, waiting int), workers, queue int) {
	gauge := func(name, help string, value func() int) {
		promauto.With(m.registry).NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	gauge("imago_inference_working", "Workers that are busy with pictures.", func() int { working, _ := load(); return working })
	gauge("imago_inference_queue_depth", "Pictures that wait for a worker.", func() int { _, waiting := load(); return waiting })
	gauge("imago_inference_workers", "Pictures that can be worked on at once.", func() int { return workers })
	gauge("imago_inference_queue_limit", "Pictures that can wait; one more is answered 503.", func() int { return queue })
}
