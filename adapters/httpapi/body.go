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
	body, err := readAll(http.MaxBytesReader(x.ResponseWriter, r.Body, limit), r.ContentLength)
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

// readAll reads to the end. It makes room for the declared length (-1 when
// there is none) only after a first part has arrived: a header alone must not
// cost megabytes.
func readAll(r io.Reader, declared int64) ([]byte, error) {
	const first = 256 << 10
	// One more byte lets the end be seen without growing.
	buf := make([]byte, 0, min(max(declared, 511)+1, first))
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(len(buf), int(declared)+1-len(buf)))
		}
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
