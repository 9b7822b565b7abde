package httpapi

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"imago/ports"
)

// exchange is a request's answer together with what the access log says of it.
// It is used by the goroutine of its request only.
type exchange struct {
	http.ResponseWriter
	start  time.Time
	id     string
	trace  string // the ID of the trace it belongs to, if any
	route  string // a pattern, never the path: user IDs are personal data
	client string
	from   netip.Addr // invalid for a Unix socket without a proxy
	status int        // 0 until the header is written
	bytes  int64

	reasons []string         // the codes of what was wrong
	audits  bool             // entry is to be written down
	entry   ports.AuditEntry // what is known of it so far

	room    *bodyRoom // memory for the body
	flood   bool      // one more wrong key of too many
	touched bool      // the reading of the body has begun
	lingers bool      // the body is to be taken behind the answer
}

// unmatched is the route of a request that no pattern matches.
const unmatched = "unmatched"

// WriteHeader notes the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}

// Unwrap gives http.ResponseController its way to the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// observe is the outermost layer: it gives every answer its common headers and
// its request ID, turns a panic into a 500, and when all is done tells the log
// and the metrics.
func (s *Server) observe(next func(*exchange, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{ResponseWriter: w, start: time.Now(), id: requestID(r.Header), route: unmatched, from: s.proxies.origin(r)}
		r, end := s.follow(x, r)
		if conn := connectionOf(r.Context()); conn != nil {
			conn.touch()
		}
		h := w.Header()
		h.Set("X-Request-Id", x.id)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if s.stopping.Load() || oddlyFramed(r) {
			h.Set("Connection", "close")
		}
		defer s.linger(x, r) // no part of the time that is reported
		defer func() { end(s.report(x, r)) }()
		defer s.recover(x, r)
		next(x, r)
	})
}

// oddlyFramed reports whether somebody before imago may have seen another end of the
// request, so that nothing behind it on the connection can be believed (RFC 9112,
// 6.1 and 11.2): net/http no longer tells whether a body in chunks came with a
// Content-Length, nor whether a request of HTTP/1.0 came with chunks.
func oddlyFramed(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)
}

// follow begins the span of a request, and returns the request with its context
// and what ends the span. Requests for health and metrics are in no trace.
func (s *Server) follow(x *exchange, r *http.Request) (*http.Request, func(route, method string, status int)) {
	ignore := func(string, string, int) {}
	if s.trace == nil || s.quiet[r.URL.Path] {
		return r, ignore
	}
	ctx, id, end := s.trace(r, x.id)
	x.trace = id
	if end == nil {
		return r, ignore
	}
	return r.WithContext(ctx), end
}

// logger is the log with what its lines have in common.
func (s *Server) logger(x *exchange) *slog.Logger {
	if x.trace == "" {
		return s.log.With("request_id", x.id)
	}
	return s.log.With("request_id", x.id, "trace_id", x.trace)
}

// recover answers a panic with a 500, or cuts the connection when an answer has
// begun.
func (s *Server) recover(x *exchange, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	err := fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack())
	if x.status != 0 {
		s.logger(x).Error("request failed", "route", x.route, "error", err)
		panic(http.ErrAbortHandler)
	}
	s.fail(x, r, err)
}

// fail answers with the problem object of an error. What the client is not told
// goes to the log, once.
func (s *Server) fail(x *exchange, r *http.Request, err error) {
	v := judge(r.Context(), err)
	x.reasons = s.reasonCodes(v, err)
	s.complain(x, r, v, err)
	if unwritten := s.deny(x, v); unwritten != nil {
		err, v = unwritten, judge(r.Context(), unwritten)
		x.reasons = s.reasonCodes(v, err)
	}
	s.prepareLinger(x, r)
	writeProblem(x, r, v, err)
}

// complain logs what the client is not told, once. Overload is told once a
// second, however many requests are refused.
func (s *Server) complain(x *exchange, r *http.Request, v verdict, err error) {
	switch {
	case v.status < http.StatusInternalServerError || v.kind == errNotReady:
	case v.kind == ports.ErrOverloaded:
		s.shed.Do(func() {
			s.logger(x).Warn("requests are refused, there is too much to do", "route", x.route, "error", err)
		})
	default:
		s.logger(x).Log(r.Context(), severity(v), "request failed", "route", x.route, "error", err)
	}
}

// severity is error for what nobody foresaw and a warning for a known failure.
func severity(v verdict) slog.Level {
	if v.kind == nil {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// report writes the access log line and feeds the metrics, and returns what it
// said. Requests for health and metrics come every few seconds and are logged at
// debug level.
func (s *Server) report(x *exchange, r *http.Request) (route, method string, status int) {
	took := time.Since(x.start)
	status = x.status
	if status == 0 {
		status = http.StatusOK
	}
	level := slog.LevelInfo
	if s.quiet[x.route] || x.flood {
		level = slog.LevelDebug
	}
	method = knownMethod(r.Method)
	said := []any{"method", method, "route", x.route,
		"status", status, "duration", took, "bytes", x.bytes, "client", x.client, "remote", nameOf(x.from)}
	if len(x.reasons) > 0 {
		said = append(said, "reasons", x.reasons)
	}
	s.logger(x).Log(r.Context(), level, "request", said...)
	if s.instrument != nil {
		s.instrument(x.route, method, status, took)
	}
	if s.refused != nil {
		s.tellRefused(x)
	}
	return x.route, method, status
}

// tellRefused counts what was wrong with a request. That nobody was found is an
// answer.
func (s *Server) tellRefused(x *exchange) {
	for _, reason := range x.reasons {
		if reason != codeNoMatch {
			s.refused(reason)
		}
	}
}

// knownMethod bounds the names that reach log and metrics.
func knownMethod(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace,
	}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

// requestID takes over the caller's x-request-id where it is sane, so that one
// ID follows a request through all services, and makes one up otherwise.
func requestID(h http.Header) string {
	if ids := h.Values("X-Request-Id"); len(ids) == 1 && saneID(ids[0]) {
		return ids[0]
	}
	return rand.Text()
}

// saneID reports whether id is 1 to 128 of A-Z a-z 0-9 . _ and -.
func saneID(id string) bool {
	if len(id) < 1 || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
