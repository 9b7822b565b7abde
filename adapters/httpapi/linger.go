package httpapi

import (
	"io"
	"net/http"
	"time"

	"imago/adapters/httpapi/listener"
)

// A request that is refused before its body was read is answered at once, and the body
// is read and thrown away behind the answer. By itself net/http would wait for a small
// body before it answers, and close the connection on a large one: the many clients that
// send everything before they read would see a reset connection instead of, say, a 401.

// lingerTime is how long the rest of a refused body is read: enough for a client that
// sends it anyway.
const lingerTime = 2 * time.Second

// prepareLinger is called before a refusal is written. It decides whether linger
// reads the body.
func (x *exchange) prepareLinger(r *http.Request, limit int64) {
	// A client that expects 100 Continue sends nothing after a refusal.
	if x.bodyRead || r.ContentLength == 0 || r.Header.Get("Expect") != "" {
		return
	}
	if !listener.Of(r.Context()).Linger() {
		x.Header().Set("Connection", "close")
		return
	}
	x.lingers = http.NewResponseController(x.ResponseWriter).EnableFullDuplex() == nil
	if x.lingers && r.ContentLength > limit {
		x.Header().Set("Connection", "close") // it will not be read to its end
	}
}

// linger sends the answer and reads the body up to a limit, for a short time and
// unless another connection needs the place. What is not read by then ends the
// connection.
func (x *exchange) linger(r *http.Request, limit int64, timeout time.Duration) {
	defer listener.Of(r.Context()).Lingered()
	if !x.lingers {
		return
	}
	control := http.NewResponseController(x.ResponseWriter)
	if control.Flush() == nil && control.SetReadDeadline(time.Now().Add(min(lingerTime, timeout))) == nil {
		_, _ = io.CopyN(io.Discard, r.Body, limit)
	}
}
