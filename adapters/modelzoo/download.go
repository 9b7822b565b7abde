package modelzoo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"imago/config"
)

const (
	// bufferSize is how many bytes are read at a time.
	bufferSize = 64 << 10
	// maxRedirects bounds the hops to a source.
	maxRedirects = 5
	// dialTimeout is how long a host may take to take a connection: one that a firewall
	// swallows should not keep the next source waiting.
	dialTimeout = 10 * time.Second
	// maxHeader bounds the header of an answer in bytes.
	maxHeader = 64 << 10
)

var (
	errIdle     = errors.New("nothing arrived for too long")
	errRedirect = errors.New("the redirect is not followed")
	// errStale says that what was downloaded before cannot be continued.
	errStale = errors.New("the download cannot go on where it stopped")
)

// newClient returns a client that takes bytes as they are stored and keeps no
// connection. Its timeouts are the context's: see watch.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			DisableCompression:     true,
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: checkRedirect,
	}
}

// checkRedirect follows a few hops, each as safe as a source must be and none
// from https back to http.
func checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: there are more than %d", errRedirect, maxRedirects)
	case !config.SafeSource(next.URL) || via[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("%w: it leads to %s://%s", errRedirect, next.URL.Scheme, next.URL.Host)
	}
	return nil
}

// download appends to the part what it lacks. inOneGo says that all of it came
// with one answer.
func (z *Zoo) download(ctx context.Context, url string, part *part, m config.Manifest, progress func(done, total int64)) (inOneGo bool, err error) {
	have, err := part.size()
	if err != nil {
		return false, err
	}
	if have > m.Size {
		have = 0 // not ours; truncated below
	}
	progress(have, m.Size)
	if have == m.Size {
		return false, nil
	}
	ctx, alive, stop := watch(ctx, z.pace.idle)
	defer stop()
	res, err := z.get(ctx, url, have)
	if err != nil {
		return false, unreachable(failed(ctx, err))
	}
	defer res.Body.Close()
	start, err := accept(res, m, have)
	if errors.Is(err, errStale) {
		return false, errors.Join(err, part.discard())
	}
	if err != nil {
		return false, err
	}
	if err := part.file.Truncate(start); err != nil {
		return false, err
	}
	return start == 0, receive(ctx, res.Body, part, m, start, func(done int64) {
		alive()
		progress(done, m.Size)
	})
}

// watch returns a context that ends when alive is not called for a while.
func watch(ctx context.Context, idle time.Duration) (watched context.Context, alive, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(idle, func() { cancel(errIdle) })
	return watched, func() { timer.Reset(idle) }, func() { timer.Stop(); cancel(nil) }
}

// get asks for a file from the byte at which the part ends.
func (z *Zoo) get(ctx context.Context, source string, have int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "imago")
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	return z.client.Do(req)
}

// failed turns what the HTTP client reports into a failure of the source. The URL that
// the client puts into its errors is dropped: after a redirect it may carry a
// signature.
func failed(ctx context.Context, err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
		return temporary("%w", cause)
	}
	if errors.Is(err, errRedirect) || errors.As(err, new(*tls.CertificateVerificationError)) {
		return permanent("%w", err)
	}
	return temporary("%w", err)
}

// accept judges the head of an answer and returns at which byte of the file its
// body starts.
func accept(res *http.Response, m config.Manifest, have int64) (start int64, err error) {
	switch code := res.StatusCode; {
	case code == http.StatusOK:
		if res.ContentLength >= 0 && res.ContentLength != m.Size {
			return 0, other("it has %d bytes, the manifest says %d", res.ContentLength, m.Size)
		}
		return 0, nil
	case code == http.StatusPartialContent:
		return resume(res.Header.Get("Content-Range"), m, have)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return 0, temporary("%w: the server has nothing from byte %d on", errStale, have)
	case code == http.StatusNotFound || code == http.StatusGone:
		return 0, absent("it is not there: the server answered %s", res.Status)
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return 0, temporary("the server answered %s", res.Status)
	default:
		return 0, permanent("the server answered %s", res.Status)
	}
}

// resume checks that a partial answer is the one asked for (RFC 9110, section
// 14.4).
func resume(contentRange string, m config.Manifest, have int64) (int64, error) {
	want := fmt.Sprintf("bytes %d-%d/", have, m.Size-1)
	if contentRange != want+fmt.Sprint(m.Size) && contentRange != want+"*" {
		return 0, temporary("%w: the server answered another part than the one asked for", errStale)
	}
	return have, nil
}

// receive writes a body to the part from byte start on.
func receive(ctx context.Context, body io.Reader, part *part, m config.Manifest, start int64, progress func(done int64)) error {
	buffer := make([]byte, bufferSize)
	for done := start; done < m.Size; {
		n, err := body.Read(buffer[:min(bufferSize, m.Size-done)])
		if _, err := part.file.WriteAt(buffer[:n], done); err != nil {
			return err
		}
		done += int64(n)
		progress(done)
		if err != nil && done < m.Size {
			return brokenOff(ctx, err, done, m.Size)
		}
	}
	if n, _ := io.ReadFull(body, buffer[:1]); n > 0 {
		return errors.Join(other("it is longer than the %d bytes that the manifest says", m.Size), part.discard())
	}
	return nil
}

func brokenOff(ctx context.Context, err error, done, size int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return temporary("the connection ended after %d of %d bytes", done, size)
	}
	return failed(ctx, err)
}
