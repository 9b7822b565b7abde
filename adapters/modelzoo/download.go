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
	// dialTimeout bounds connecting: a firewall that drops packets should not delay the next
	// source for long.
	dialTimeout = 10 * time.Second
	// maxHeader bounds the header of an answer in bytes.
	maxHeader = 64 << 10
)

var (
	errIdle     = errors.New("timed out: no data was received")
	errRedirect = errors.New("redirect refused")
	// errNotResumable says that the partial file cannot be resumed and has to be downloaded anew.
	errNotResumable = errors.New("the download cannot be resumed")
)

// newClient returns a client without compression and keep-alive. Its timeouts are the
// context's: see watch.
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

// checkRedirect limits the number of redirects and refuses unsafe targets and downgrades from
// https to http.
func checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: there are more than %d", errRedirect, maxRedirects)
	case !config.SafeSource(next.URL) || via[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("%w: it leads to %s://%s", errRedirect, next.URL.Scheme, next.URL.Host)
	}
	return nil
}

// download appends the missing bytes to the partial file. whole says that all of them
// came with one response.
func (z *Zoo) download(ctx context.Context, url string, partial *partialFile, m config.Manifest, progress func(done, total int64)) (whole bool, err error) {
	have, err := partial.size()
	if err != nil {
		return false, err
	}
	if have > m.Size {
		have = 0 // not resumable; truncated below
	}
	progress(have, m.Size)
	if have == m.Size {
		return false, nil
	}
	ctx, alive, stop := watch(ctx, z.timing.idle)
	defer stop()
	res, err := z.get(ctx, url, have)
	if err != nil {
		return false, unreachable(requestError(ctx, err))
	}
	defer res.Body.Close()
	start, err := accept(res, m, have)
	if errors.Is(err, errNotResumable) {
		return false, errors.Join(err, partial.discard())
	}
	if err != nil {
		return false, err
	}
	if err := partial.file.Truncate(start); err != nil {
		return false, err
	}
	return start == 0, receive(ctx, res.Body, partial, m, start, func(done int64) {
		alive()
		progress(done, m.Size)
	})
}

// watch returns a context that is cancelled when alive is not called for idle.
func watch(ctx context.Context, idle time.Duration) (watched context.Context, alive, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(idle, func() { cancel(errIdle) })
	return watched, func() { timer.Reset(idle) }, func() { timer.Stop(); cancel(nil) }
}

// get requests a file from the byte at which the partial file ends.
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

// requestError turns an error of the HTTP client into a failure of the source. The URL in it
// is dropped: after a redirect it may carry a signature.
func requestError(ctx context.Context, err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
		return fail(failTemporary, "%w", cause)
	}
	if errors.Is(err, errRedirect) || errors.As(err, new(*tls.CertificateVerificationError)) {
		return fail(failPermanent, "%w", err)
	}
	return fail(failTemporary, "%w", err)
}

// accept checks the status and header of a response and returns at which byte of the file its
// body starts.
func accept(res *http.Response, m config.Manifest, have int64) (start int64, err error) {
	switch code := res.StatusCode; {
	case code == http.StatusOK:
		if res.ContentLength >= 0 && res.ContentLength != m.Size {
			return 0, fail(failMismatch, "it has %d bytes, the manifest says %d", res.ContentLength, m.Size)
		}
		return 0, nil
	case code == http.StatusPartialContent:
		return resume(res.Header.Get("Content-Range"), m, have)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return 0, fail(failTemporary, "%w: the server has nothing from byte %d on", errNotResumable, have)
	case code == http.StatusNotFound || code == http.StatusGone:
		return 0, fail(failNotFound, "not found: the server answered %s", res.Status)
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return 0, fail(failTemporary, "the server answered %s", res.Status)
	default:
		return 0, fail(failPermanent, "the server answered %s", res.Status)
	}
}

// resume checks that a partial response is the requested range (RFC 9110, section
// 14.4).
func resume(contentRange string, m config.Manifest, have int64) (int64, error) {
	want := fmt.Sprintf("bytes %d-%d/", have, m.Size-1)
	if contentRange != want+fmt.Sprint(m.Size) && contentRange != want+"*" {
		return 0, fail(failTemporary, "%w: the server sent another range than requested", errNotResumable)
	}
	return have, nil
}

// receive writes a body to the partial file from byte start on.
func receive(ctx context.Context, body io.Reader, partial *partialFile, m config.Manifest, start int64, progress func(done int64)) error {
	buffer := make([]byte, bufferSize)
	for done := start; done < m.Size; {
		n, err := body.Read(buffer[:min(bufferSize, m.Size-done)])
		if _, err := partial.file.WriteAt(buffer[:n], done); err != nil {
			return err
		}
		done += int64(n)
		progress(done)
		if err != nil && done < m.Size {
			return interruptedError(ctx, err, done, m.Size)
		}
	}
	if n, _ := io.ReadFull(body, buffer[:1]); n > 0 {
		return errors.Join(fail(failMismatch, "it is longer than the %d bytes that the manifest says", m.Size), partial.discard())
	}
	return nil
}

func interruptedError(ctx context.Context, err error, done, size int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(failTemporary, "the connection ended after %d of %d bytes", done, size)
	}
	return requestError(ctx, err)
}
