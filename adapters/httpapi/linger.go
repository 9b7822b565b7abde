package httpapi

import (
	"net/http"
	"time"

	"imago/adapters/httpapi/listener"
)

// A request that is refused before its body was read is answered at once, and the body
// is read and thrown away behind the answer. By itself net/http would wait for a small
// body before it answers, and close the connection on a large one: the many clients that
// send everything before they read would see a reset connection instead of, say, a 401.

// lingering bounds how much of a refused body is read, and how long. A client that sends
// on, which a busy machine or a slow line may make slow, gets to the end of it and to its
// answer; a silent one, or any while the server stops, has idle only.
type lingering struct {
	idle, total time.Duration
	bytes       int64
}

// newLingering has nginx's defaults of lingering_timeout and lingering_time, but never more
// than a wanted body may take, and enough bytes for pictures that are several times too
// large.
func newLingering(body time.Duration, largest int64) lingering {
	return lingering{idle: min(5*time.Second, body), total: min(30*time.Second, body), bytes: 8 * largest}
}

// until returns when the next bytes of a body must be there, for an answer of a moment.
func (l lingering) until(answered, now time.Time, stopping bool) time.Time {
	end := answered.Add(l.total)
	if stopping {
		end = answered.Add(l.idle)
	}
	if next := now.Add(l.idle); next.Before(end) {
		return next
	}
	return end
}

// prepareLinger is called before a refusal is written. It decides whether linger
// reads the body.
func (o *observer) prepareLinger(x *exchange, r *http.Request) {
	// A client that expects 100 Continue sends nothing after a refusal.
	if x.bodyRead || r.ContentLength == 0 || r.Header.Get("Expect") != "" {
		return
	}
	if !listener.Of(r.Context()).Linger() {
		x.Header().Set("Connection", "close")
		return
	}
	x.lingers = http.NewResponseController(x.ResponseWriter).EnableFullDuplex() == nil
	if x.lingers && r.ContentLength > o.lingering.bytes {
		x.Header().Set("Connection", "close") // it will not be read to its end
	}
}

// linger sends the answer and reads the body within the bounds of lingering, unless another
// connection needs the place. What is not read by then ends the connection.
func (o *observer) linger(x *exchange, r *http.Request) {
	defer listener.Of(r.Context()).Lingered()
	if !x.lingers {
		return
	}
	control := http.NewResponseController(x.ResponseWriter)
	if control.Flush() != nil {
		return
	}
	answered, buf := time.Now(), make([]byte, 16<<10)
	for left := o.lingering.bytes; left > 0; {
		if control.SetReadDeadline(o.lingering.until(answered, time.Now(), o.stopping.Load())) != nil {
			return
		}
		n, err := r.Body.Read(buf[:min(left, int64(len(buf)))])
		if err != nil {
			return
		}
		left -= int64(n)
	}
}
