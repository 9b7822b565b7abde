package httpapi

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"time"

	"imago/adapters/httpapi/body"
	"imago/ports"
)

// exchange is a request's answer together with what the access log says of it.
// It is used by the goroutine of its request only.
type exchange struct {
	http.ResponseWriter
	log    *slog.Logger // with the IDs of the request
	start  time.Time
	id     string
	trace  string // the ID of the trace it belongs to, if any
	route  string // a pattern, never the path: user IDs are personal data
	client string
	from   netip.Addr // invalid for a Unix socket without a proxy
	status int        // 0 until the header is written
	bytes  int64

	reasons []string // the codes of what was wrong

	audit *Audit           // where to record what becomes of the request, nil for nowhere
	entry ports.AuditEntry // what is known of it so far

	memory   *body.Allocation
	flood    bool // one more wrong key of too many
	bodyRead bool // nothing of the body is left, or it failed to come
	lingers  bool // the rest of the body is read behind the answer
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

// answer sends a value as JSON once the audit log has it.
func (x *exchange) answer(value any) error {
	if err := x.auditAnswer(); err != nil {
		return err
	}
	writeJSON(x, http.StatusOK, mediaJSON, value)
	return nil
}

// done answers a change that was made with an empty 200.
func (x *exchange) done() error {
	x.auditOutcome()
	x.Header().Set("Content-Length", "0")
	x.WriteHeader(http.StatusOK)
	return nil
}

// saneID are the request IDs that are taken over.
var saneID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// requestID returns the caller's x-request-id if it is sane, so that one ID follows a
// request through all services, and a new one otherwise.
func requestID(h http.Header) string {
	if ids := h.Values("X-Request-Id"); len(ids) == 1 && saneID.MatchString(ids[0]) {
		return ids[0]
	}
	return rand.Text()
}
