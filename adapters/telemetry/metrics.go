package telemetry

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
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

// scrapesAtOnce bounds the scrapes in progress; one more is answered 503.
const scrapesAtOnce = 4

// Metrics are all of imago's metrics. They are safe for concurrent use.
type Metrics struct {
	registry   *prometheus.Registry
	sizes      *prometheus.Registry // of lists, which not everybody may see
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	stages     *prometheus.HistogramVec
	keyReloads *prometheus.CounterVec
	tlsReloads *prometheus.CounterVec
	// tokenReloads counts what the other two count, for the keys of tokens.
	tokenReloads *prometheus.CounterVec
	events       events
}

// New returns the metrics of a process that runs the given version of imago.
func New(version string) *Metrics {
	request := []string{"route", "method", "status"}
	m := &Metrics{
		registry: prometheus.NewRegistry(), sizes: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imago_http_requests_total", Help: "Requests answered, by class of status.",
		}, request),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "imago_http_request_duration_seconds", Help: "Time from the request's header to its answer.",
			Buckets: requestBuckets,
		}, request),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "imago_stage_duration_seconds", Help: "Time of one stage, waiting for its turn included.",
			Buckets: stageBuckets,
		}, []string{"stage"}),
		tlsReloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imago_tls_reloads_total", Help: "Attempts to use the changed files of the TLS certificate.",
		}, []string{"result"}),
		keyReloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imago_key_reloads_total", Help: "Attempts to read the changed file of API keys.",
		}, []string{"result"}),
		tokenReloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imago_token_reloads_total", Help: "Attempts to read the changed file of token keys.",
		}, []string{"result"}),
		events: newEvents(),
	}
	m.registry.MustRegister(m.events.collectors()...)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.durations, m.stages, m.keyReloads, m.tlsReloads, m.tokenReloads, buildInfo(version),
	)
	m.initialise()
	return m
}

// buildInfo is a metric whose labels are its message.
func buildInfo(version string) prometheus.Collector {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "imago_build_info", Help: "Always 1; the labels say what runs.",
	}, []string{"version", "goversion"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	return info
}

// initialise makes the series with known labels exist from the start, so that
// their first increase is one.
func (m *Metrics) initialise() {
	m.events.initialise()
	for _, stage := range stages {
		m.stages.WithLabelValues(stage)
	}
	for _, result := range []string{"ok", "error"} {
		m.keyReloads.WithLabelValues(result)
		m.tlsReloads.WithLabelValues(result)
		m.tokenReloads.WithLabelValues(result)
	}
}

// Handler serves all metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler { return serve(prometheus.Gatherers{m.registry, m.sizes}) }

// PublicHandler serves those that may be shown to whoever reaches the API: it leaves
// the sizes of the lists out.
func (m *Metrics) PublicHandler() http.Handler { return serve(m.registry) }

func serve(gatherer prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesAtOnce,
	})
}

// Instrument counts an answered request. The route must be a pattern and the
// method one of few: each value is a series that stays.
func (m *Metrics) Instrument(route, method string, status int, took time.Duration) {
	class := strconv.Itoa(status/100) + "xx"
	m.requests.WithLabelValues(route, method, class).Inc()
	m.durations.WithLabelValues(route, method, class).Observe(took.Seconds())
}

// KeysReloaded counts an attempt to read the changed file of keys.
func (m *Metrics) KeysReloaded(err error) { m.keyReloads.WithLabelValues(result(err)).Inc() }

// TLSReloaded counts an attempt to use changed files of the TLS certificate.
func (m *Metrics) TLSReloaded(err error) { m.tlsReloads.WithLabelValues(result(err)).Inc() }

// TokensReloaded counts an attempt to read the changed file of token keys.
func (m *Metrics) TokensReloaded(err error) { m.tokenReloads.WithLabelValues(result(err)).Inc() }

// WatchCertificate adds the gauge of when the TLS certificate expires, as expires
// answers at each scrape. It may be called once.
func (m *Metrics) WatchCertificate(expires func() time.Time) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "imago_tls_certificate_expiration_timestamp_seconds",
		Help: "When the TLS certificate in force stops being valid, in seconds since 1970.",
	}, func() float64 { return float64(expires().Unix()) }))
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
