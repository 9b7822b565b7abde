package httpapi

import (
	"io"
	"net/http"
	"time"
)

// A request that is refused before its body was read is answered at once, and
// the body is thrown away behind the answer. By itself net/http would wait for a
// small body before it answers, and close the connection on a large one:
// clients that send everything before they read, and there are many, would
// then see a reset connection in place of, say, a 401.

// lingerTime is how long a body is thrown away: enough for whoever sends it anyway.
const lingerTime = 2 * time.Second

// prepareLinger is called before an answer is written. Where the body can
// follow, linger will take it.
func (s *Server) prepareLinger(x *exchange, r *http.Request) {
	// A client that expects 100 Continue sends nothing after a refusal.
	if x.touched || r.ContentLength == 0 || r.Header.Get("Expect") != "" {
		return
	}
	if conn := connectionOf(r.Context()); conn != nil && !conn.linger() {
		x.Header().Set("Connection", "close")
		return
	}
	x.lingers = http.NewResponseController(x.ResponseWriter).EnableFullDuplex() == nil
	if x.lingers && r.ContentLength > bodyLimit(s.limits.ImageBytes) {
		x.Header().Set("Connection", "close") // it will not be read to its end
	}
}

// linger sends the answer and reads the body up to its cap, for a short time and
// unless another connection needs the place. What is not read by then ends the
// connection.
func (s *Server) linger(x *exchange, r *http.Request) {
	if conn := connectionOf(r.Context()); conn != nil {
		defer conn.lingered()
	}
	if !x.lingers {
		return
	}
	control := http.NewResponseController(x.ResponseWriter)
	if control.Flush() == nil && control.SetReadDeadline(time.Now().Add(min(lingerTime, s.timeouts.Body))) == nil {
		_, _ = io.CopyN(io.Discard, r.Body, bodyLimit(s.limits.ImageBytes))
	}
}
