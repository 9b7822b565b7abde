package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The stages of a request, as the values of the label stage.
const (
	stageDecode      = "decode"
	stageDetect      = "detect"
	stageEmbed       = "embed"
	stageSearch      = "search"
	stageStoreAdd    = "store_add"
	stageStoreRemove = "store_remove"
	stageStoreGet    = "store_get"
)

var stages = []string{stageDecode, stageDetect, stageEmbed, stageSearch, stageStoreAdd, stageStoreRemove, stageStoreGet}

// The upper bounds of the histograms, in seconds. A stage takes from a tenth of
// a millisecond, a request from a few milliseconds to the configured timeout.
var (
	requestBuckets = []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	stageBuckets   = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
)

// scrapesAtOnce bounds concurrent scrapes; one more is answered 503.
const scrapesAtOnce = 4

// Metrics are all of imago's metrics. They are safe for concurrent use.
type Metrics struct {
	registry     *prometheus.Registry
	sizes        *prometheus.Registry // what is not public: collection sizes, best scores
	requests     *prometheus.CounterVec
	durations    *prometheus.HistogramVec
	stages       *prometheus.HistogramVec
	keyReloads   *prometheus.CounterVec
	tlsReloads   *prometheus.CounterVec
	tokenReloads *prometheus.CounterVec
	events       events
	best         *prometheus.HistogramVec
}

// New returns the metrics of a process that runs the given version of imago. The series
// whose labels are known start at zero.
func New(version string) *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// A constant metric with the versions as labels.
	promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{
		Name: "imago_build_info", Help: "Always 1; the labels say what runs.",
	}, []string{"version", "goversion"}).WithLabelValues(version, runtime.Version()).Set(1)
	m := &Metrics{
		registry: r, sizes: prometheus.NewRegistry(), events: newEvents(r),
		requests: counter(r, "imago_http_requests_total", "Requests answered, by class of status.", "route", "method", "status"),
		durations: promauto.With(r).NewHistogramVec(prometheus.HistogramOpts{
			Name: "imago_http_request_duration_seconds", Help: "Time from the request's header to its answer.",
			Buckets: requestBuckets,
		}, []string{"route", "method", "status"}),
		stages: promauto.With(r).NewHistogramVec(prometheus.HistogramOpts{
			Name: "imago_stage_duration_seconds", Help: "Time of one stage, waiting for its turn included.",
			Buckets: stageBuckets,
		}, []string{"stage"}),
		keyReloads:   reloads(r, "imago_key_reloads_total", "Attempts to read the changed file of API keys."),
		tlsReloads:   reloads(r, "imago_tls_reloads_total", "Attempts to use the changed files of the TLS certificate."),
		tokenReloads: reloads(r, "imago_token_reloads_total", "Attempts to read the changed file of token keys."),
	}
	m.best = newBest(m.sizes)
	for _, stage := range stages {
		m.stages.WithLabelValues(stage)
	}
	return m
}

// reloads registers a counter of reloads by result.
func reloads(r prometheus.Registerer, name, help string) *prometheus.CounterVec {
	c := counter(r, name, help, "result")
	c.WithLabelValues("ok")
	c.WithLabelValues("error")
	return c
}

// Handler serves all metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler { return serve(prometheus.Gatherers{m.registry, m.sizes}) }

// PublicHandler serves the metrics for every client of the API: all but the collection
// sizes and the best scores.
func (m *Metrics) PublicHandler() http.Handler { return serve(m.registry) }

func serve(gatherer prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesAtOnce,
	})
}

// Instrument counts an answered request. The route must be a pattern and the method one
// of a small set: each value is a series.
func (m *Metrics) Instrument(route, method string, status int, duration time.Duration) {
	class := strconv.Itoa(status/100) + "xx"
	m.requests.WithLabelValues(route, method, class).Inc()
	m.durations.WithLabelValues(route, method, class).Observe(duration.Seconds())
}

// KeysReloaded counts an attempt to read the changed file of keys.
func (m *Metrics) KeysReloaded(err error) { m.keyReloads.WithLabelValues(result(err)).Inc() }

// TLSReloaded counts an attempt to use changed files of the TLS certificate.
func (m *Metrics) TLSReloaded(err error) { m.tlsReloads.WithLabelValues(result(err)).Inc() }

// TokensReloaded counts an attempt to read the changed file of token keys.
func (m *Metrics) TokensReloaded(err error) { m.tokenReloads.WithLabelValues(result(err)).Inc() }

// WatchCertificate registers the gauge of when the TLS certificate expires, as returned by
// expires at each scrape. Call it once.
func (m *Metrics) WatchCertificate(expires func() time.Time) {
	promauto.With(m.registry).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "imago_tls_certificate_expiration_timestamp_seconds",
		Help: "When the current TLS certificate expires, in seconds since 1970.",
	}, func() float64 { return float64(expires().Unix()) })
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
