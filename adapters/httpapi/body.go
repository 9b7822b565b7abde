package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"imago/ports"
)

// bodyLimit is the largest body that can hold a picture of imageBytes: base64
// makes four bytes of three, escapes and line breaks add at most a quarter in
// what encoders write (\u002B for each +, a break every 76 characters), and the
// other members fit in the rest.
func bodyLimit(imageBytes int) int64 {
	text := (int64(imageBytes) + 2) / 3 * 4
	return text + text/4 + 64<<10
}

// longestBody returns how long the body of a request may become.
func (s *Server) longestBody(r *http.Request) int64 {
	limit := bodyLimit(s.limits.ImageBytes)
	if r.ContentLength < 0 {
		return limit
	}
	return min(limit, r.ContentLength)
}

// readBody reads the whole body, at most the limit.
func (s *Server) readBody(x *exchange, r *http.Request) ([]byte, error) {
	if err := checkFormat(r.Header); err != nil {
		return nil, err
	}
	limit := bodyLimit(s.limits.ImageBytes)
	if r.ContentLength > limit {
		return nil, s.bodyTooLarge()
	}
	x.touched = true
	// MaxBytesReader asks net/http's own writer to close the connection.
	in := s.paced(x, http.MaxBytesReader(x.ResponseWriter, r.Body, limit))
	body, err := readAll(in, s.longestBody(r), x.room)
	if errors.Is(err, ports.ErrOverloaded) {
		x.audits, x.touched = false, false // as if it had been refused before: the rest can follow
		return nil, err
	}
	if err != nil {
		return nil, s.bodyError(r, err)
	}
	return body, nil
}

// bodyError says what ended the reading of a body early.
func (s *Server) bodyError(r *http.Request, err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return s.bodyTooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlowBody
	case r.Context().Err() != nil:
		return r.Context().Err()
	}
	return fmt.Errorf("%w: %w", refuse("the request body cannot be read"), err)
}

func (s *Server) bodyTooLarge() error {
	return ports.Refuse(ports.ErrTooLarge, fmt.Sprintf("the request body is too large: "+
		"the maximum supported size of an image is %s", size(s.limits.ImageBytes)))
}

// uploadGrace is how long a body may take to get under way.
const uploadGrace = 10 * time.Second

// pacedBody is a body that must arrive at a least rate.
type pacedBody struct {
	io.Reader
	control  *http.ResponseController
	start    time.Time
	most     time.Duration // for all of it
	grace    time.Duration // before a rate is asked
	rate     int           // bytes a second; 0 for none
	received int64
}

// paced holds a body to the time for it and to the least rate.
func (s *Server) paced(x *exchange, body io.Reader) io.Reader {
	return &pacedBody{
		Reader: body, control: http.NewResponseController(x.ResponseWriter),
		start: x.start, most: s.timeouts.Body, grace: s.uploadGrace, rate: s.limits.UploadRate,
	}
}

// Read waits for as long as what has been received allows.
func (b *pacedBody) Read(p []byte) (int, error) {
	within := b.most
	if b.rate > 0 {
		within = min(within, b.grace+time.Duration(b.received)*time.Second/time.Duration(b.rate))
	}
	_ = b.control.SetReadDeadline(b.start.Add(within)) // a test's writer has none
	n, err := b.Reader.Read(p)
	b.received += int64(n)
	return n, err
}

// bodyRoom is the memory that one body has been granted.
type bodyRoom struct {
	all    *shares
	client string
	bytes  int64
}

// grow asks for more memory.
func (b *bodyRoom) grow(bytes int64) error {
	if !b.all.grow(b.client, bytes) {
		return errBodyMemory
	}
	b.bytes += bytes
	return nil
}

// release gives it back.
func (b *bodyRoom) release() { b.all.give(b.client, b.bytes) }

// errBodyMemory is overload of its own kind.
var errBodyMemory = fmt.Errorf("%w: the bodies in progress take the memory that there is for them", ports.ErrOverloaded)

const (
	// firstBytes is the memory that a request takes before anything of its body
	// has arrived, growth how many times as much it takes when that is full: a
	// header alone must not cost megabytes.
	firstBytes, growth = 64 << 10, 4
)

// initialBytes returns the memory for the beginning of a body of a longest length.
// One more byte lets the end be seen without growing.
func initialBytes(longest int64) int64 { return min(longest+1, firstBytes) }

// readAll reads to the end of a body that is no longer than it may be. The memory
// for it has been granted as far as initialBytes says; for more it asks, as the body
// arrives.
func readAll(r io.Reader, longest int64, room *bodyRoom) ([]byte, error) {
	buf := make([]byte, 0, initialBytes(longest))
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) < cap(buf) {
			continue
		}
		size := min(growth*int64(cap(buf)), longest+1)
		if size == int64(cap(buf)) {
			return nil, io.ErrShortBuffer // longer than was announced, which net/http does not let happen
		}
		if err := room.grow(size - int64(cap(buf))); err != nil {
			return nil, err
		}
		buf = append(make([]byte, 0, size), buf...)
	}
}

// foreign are the top-level media types of bodies that are certainly not JSON.
// Everything else is tried: clients leave the header out or, as curl does, say
// application/x-www-form-urlencoded.
var foreign = []string{"multipart", "image", "audio", "video"}

// checkFormat refuses a body whose header says that it cannot be read.
func checkFormat(h http.Header) error {
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return ports.Refuse(errUnsupportedMediaType, "the request body must not be compressed")
	}
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if kind, _, _ := strings.Cut(media, "/"); slices.Contains(foreign, kind) {
		return ports.Refuse(errUnsupportedMediaType, "send a JSON object with the picture as base64 in face, Content-Type: application/json")
	}
	return nil
}
