package body

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

	"imago/adapters/httpapi/fairlimit"
	"imago/config"
	"imago/ports"
)

// The conditions that exist in HTTP only.
var (
	ErrMediaType = errors.New("unsupported media type")
	ErrSlow      = errors.New("request body not received in time")
)

// ErrMemory is an ErrOverloaded.
var ErrMemory = fmt.Errorf("%w: request bodies in progress use all memory for them", ports.ErrOverloaded)

// Grace is how long a body may take before a rate is required of it.
const Grace = 10 * time.Second

// MaxBytes is the length of the largest body that can hold a picture of imageBytes:
// base64 makes four bytes of three, escapes and line breaks add at most a quarter in
// what encoders write (\u002B for each +, a break every 76 characters), and the
// other members fit in the rest.
func MaxBytes(imageBytes int) int64 {
	text := (int64(imageBytes) + 2) / 3 * 4
	return text + text/4 + 64<<10
}

// Reader reads bodies within limits. It is safe for concurrent use.
type Reader struct {
	Timeout    time.Duration // for one body
	Grace      time.Duration // see the constant
	Rate       int           // least bytes a second behind the grace, 0 for none
	ImageBytes int           // the largest picture
	Memory     *fairlimit.Limit
}

// NewReader returns a Reader with the configured limits.
func NewReader(l config.Limits, timeout time.Duration) *Reader {
	return &Reader{
		Timeout: timeout, Grace: Grace, Rate: l.UploadRate, ImageBytes: l.ImageBytes,
		Memory: fairlimit.New(int64(l.BodyMiB) << 20),
	}
}

// Allocation is the memory that the body of one request may use.
type Allocation struct {
	all    *fairlimit.Limit
	client string
	bytes  int64
}

// Allocate gives the request of a client the memory for the beginning of its body, if
// all of it would fit now. Otherwise the error is ErrMemory.
func (b *Reader) Allocate(r *http.Request, client string) (*Allocation, error) {
	longest := b.longest(r)
	a := &Allocation{all: b.Memory, client: client, bytes: initialBytes(longest)}
	if !b.Memory.Acquire(client, a.bytes, longest+1) {
		return nil, ErrMemory
	}
	return a, nil
}

func (a *Allocation) grow(bytes int64) error {
	if !a.all.Grow(a.client, bytes) {
		return ErrMemory
	}
	a.bytes += bytes
	return nil
}

// Release gives the memory back.
func (a *Allocation) Release() { a.all.Release(a.client, a.bytes) }

// longest returns how long the body of a request may become.
func (b *Reader) longest(r *http.Request) int64 {
	limit := MaxBytes(b.ImageBytes)
	if r.ContentLength < 0 {
		return limit
	}
	return min(limit, r.ContentLength)
}

// foreign are the top-level media types of bodies that are certainly not JSON.
// Everything else is tried: clients leave the header out or, as curl does, say
// application/x-www-form-urlencoded.
var foreign = []string{"multipart", "image", "audio", "video"}

// CheckHeader refuses a request whose header says that its body cannot be read.
func (b *Reader) CheckHeader(r *http.Request) error {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return ports.Refuse(ErrMediaType, "the request body must not be compressed")
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind, _, _ := strings.Cut(media, "/"); slices.Contains(foreign, kind) {
		return ports.Refuse(ErrMediaType, "send a JSON object with the picture as base64 in face, Content-Type: application/json")
	}
	if r.ContentLength > MaxBytes(b.ImageBytes) {
		return b.errTooLarge()
	}
	return nil
}

// Read reads the whole body of a request that began at start. w is net/http's own
// writer.
func (b *Reader) Read(w http.ResponseWriter, r *http.Request, start time.Time, a *Allocation) ([]byte, error) {
	in := &paced{
		Reader: http.MaxBytesReader(w, r.Body, MaxBytes(b.ImageBytes)), limits: b,
		control: http.NewResponseController(w), start: start,
	}
	text, err := readAll(in, b.longest(r), a)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil || errors.Is(err, ErrMemory):
		return text, err
	case errors.As(err, &tooLarge):
		return nil, b.errTooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, ErrSlow
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	}
	return nil, fmt.Errorf("%w: %w", refuse("the request body cannot be read"), err)
}

func (b *Reader) errTooLarge() error {
	return ports.Refuse(ports.ErrTooLarge, fmt.Sprintf("the request body is too large: "+
		"the maximum supported size of an image is %s", size(b.ImageBytes)))
}

// paced is a body that must arrive at the least rate.
type paced struct {
	io.Reader
	limits   *Reader
	control  *http.ResponseController
	start    time.Time
	received int64
}

// Read waits for as long as what has been received allows.
func (p *paced) Read(buf []byte) (int, error) {
	within := p.limits.Timeout
	if rate := p.limits.Rate; rate > 0 {
		within = min(within, p.limits.Grace+time.Duration(p.received)*time.Second/time.Duration(rate))
	}
	_ = p.control.SetReadDeadline(p.start.Add(within)) // a test's writer has none
	n, err := p.Reader.Read(buf)
	p.received += int64(n)
	return n, err
}

const (
	// firstBytes is the memory that a request takes before anything of its body
	// has arrived, growth how many times as much it takes when that is full: a
	// header alone must not cost megabytes.
	firstBytes, growth = 64 << 10, 4
)

// initialBytes returns the memory for the beginning of a body of a longest length.
// One more byte lets the end be seen without growing.
func initialBytes(longest int64) int64 { return min(longest+1, firstBytes) }

// readAll reads a body of a longest length to its end. The allocation, which begins with
// initialBytes, grows as the body arrives.
func readAll(r io.Reader, longest int64, a *Allocation) ([]byte, error) {
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
			return nil, io.ErrShortBuffer // longer than announced, which net/http prevents
		}
		if err := a.grow(size - int64(cap(buf))); err != nil {
			return nil, err
		}
		buf = append(make([]byte, 0, size), buf...)
	}
}
