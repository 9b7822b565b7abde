package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"imago/adapters/httpapi/body"
	"imago/adapters/httpapi/listener"
	"imago/core/outage"
	"imago/ports"
)

// observer is the outermost layer: it turns errors and panics into problem objects and
// reports each request to log, metrics and traces.
type observer struct {
	Telemetry
	log         *slog.Logger
	proxies     listener.Proxies
	stopping    *atomic.Bool
	debugRoutes map[string]bool // those that are logged at debug level
	overloadLog rate.Sometimes
	lingering   lingering
}

func newObserver(o Options, log *slog.Logger, stopping *atomic.Bool) *observer {
	return &observer{
		Telemetry: o.Telemetry, log: log, stopping: stopping,
		proxies:     listener.NewProxies(o.Server.TrustedProxies),
		debugRoutes: map[string]bool{patternHealth: true, patternReady: true, patternMetrics: true},
		overloadLog: rate.Sometimes{Interval: time.Second},
		lingering:   newLingering(o.Server.Timeouts.Body, body.MaxBytes(o.Server.Limits.ImageBytes)),
	}
}

// observe gives every answer its common headers and its request ID, turns a panic into a
// 500, and when all is done reports the request.
func (o *observer) observe(next func(*exchange, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, start: time.Now(), id: requestID(r.Header), route: unmatched, from: o.proxies.ClientAddr(r)}
		r, end := o.startSpan(x, r)
		x.log = o.log.With("request_id", x.id)
		if x.trace != "" {
			x.log = x.log.With("trace_id", x.trace)
		}
		listener.Of(r.Context()).Touch()
		h := w.Header()
		h.Set("X-Request-Id", x.id)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if o.stopping.Load() || ambiguous(r) {
			h.Set("Connection", "close")
		}
		defer o.linger(x, r) // no part of the time that is reported
		defer func() { end(o.report(x, r)) }()
		defer o.recover(x, r)
		next(x, r)
	})
}

// ambiguous reports whether a proxy before imago may have seen another end of the
// request, so that nothing behind it on the connection can be believed (RFC 9112,
// 6.1 and 11.2): net/http hides whether a body in chunks came with a Content-Length,
// and whether a request of HTTP/1.0 came with chunks.
func ambiguous(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)
}

// startSpan begins the span of a request, and returns the request with its context
// and what ends the span. Requests for health and metrics are in no trace.
func (o *observer) startSpan(x *exchange, r *http.Request) (*http.Request, func(route, method string, status int)) {
	ignore := func(string, string, int) {}
	if o.Trace == nil || o.debugRoutes[r.URL.Path] {
		return r, ignore
	}
	ctx, id, end := o.Trace(r, x.id)
	x.trace = id
	if end == nil {
		return r, ignore
	}
	return r.WithContext(ctx), end
}

// recover answers a panic with a 500, or cuts the connection when an answer has
// begun.
func (o *observer) recover(x *exchange, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	err := fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
	if x.status != 0 {
		x.log.Error("request failed", "route", x.route, "error", err)
		panic(http.ErrAbortHandler)
	}
	o.fail(x, r, err)
}

// serve is where every handler's error becomes an answer.
func (o *observer) serve(x *exchange, r *http.Request, h handler) {
	if err := h(x, r); err != nil {
		o.fail(x, r, err)
	}
}

// fail answers with the problem object of an error. What that leaves out is logged,
// once.
func (o *observer) fail(x *exchange, r *http.Request, err error) {
	m := classify(r.Context(), err)
	_, codes := m.reasons(err)
	x.reasons = distinct(codes)
	o.logFailure(x, r, m, err)
	if unwritten := x.auditRefusal(m); unwritten != nil {
		err, m = unwritten, classify(r.Context(), unwritten)
		x.reasons = []string{m.code}
	}
	o.prepareLinger(x, r)
	writeProblem(x, r, m, err)
}

// logFailure logs what the answer leaves out: a known failure as a warning, anything else
// as an error. Overload is logged once a second.
func (o *observer) logFailure(x *exchange, r *http.Request, m errorMapping, err error) {
	level := slog.LevelWarn
	if m.kind == nil {
		level = slog.LevelError
	}
	switch {
	case m.status < http.StatusInternalServerError || m.kind == errNotReady:
	case m.kind == ports.ErrOverloaded:
		o.overloadLog.Do(func() { x.log.Warn("overloaded: rejecting requests", "route", x.route, "error", err) })
	default:
		x.log.Log(r.Context(), levelOf(err, level), "request failed", "route", x.route, "error", err)
	}
}

// levelOf returns the level of an error: debug when it is part of an outage that the log
// tells of already.
func levelOf(err error, level slog.Level) slog.Level {
	if outage.Reported(err) {
		return slog.LevelDebug
	}
	return level
}

// report writes the access log line and feeds the metrics, and returns what it
// said. Requests for health and metrics come every few seconds and are logged at
// debug level.
func (o *observer) report(x *exchange, r *http.Request) (route, method string, status int) {
	took := time.Since(x.start)
	status = x.status
	if status == 0 {
		status = http.StatusOK
	}
	level := slog.LevelInfo
	if o.debugRoutes[x.route] || x.flood {
		level = slog.LevelDebug
	}
	method = knownMethod(r.Method)
	attributes := []any{"method", method, "route", x.route, "status", status,
		"duration_ms", float64(took.Microseconds()) / 1000, "bytes", x.bytes, "client", x.client, "remote", listener.Text(x.from)}
	if len(x.reasons) > 0 {
		attributes = append(attributes, "reasons", x.reasons)
	}
	x.log.Log(r.Context(), level, "request", attributes...)
	if o.Instrument != nil {
		o.Instrument(x.route, method, status, took)
	}
	for _, reason := range x.reasons {
		if o.Refused != nil && reason != codeNoMatch { // that nobody was found is an answer
			o.Refused(reason)
		}
	}
	return x.route, method, status
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace,
}

// knownMethod bounds the names that reach log and metrics.
func knownMethod(method string) string {
	if slices.Contains(methods, method) {
		return method
	}
	return "other"
}
