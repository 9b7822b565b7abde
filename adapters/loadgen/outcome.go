package loadgen

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	// answerLimit is how much of an answer is read. The largest one, a search with 100
	// matches of long IDs, is smaller.
	answerLimit = 256 << 10
	// exampleLimit is how much of an error is kept.
	exampleLimit = 200
	// reasonExists is the error of imago for an ID that is enrolled.
	reasonExists = "provided userId already exists"
)

// outcome is the result of a request.
type outcome struct {
	status int // 0 without an answer
	// failure is the class of an error, empty for a request that was served, and
	// example its text.
	failure, example string
	// retryAfter is the header of that name in seconds, -1 without one.
	retryAfter int
}

// shed reports whether the server rejected the request for overload or because its store
// is unavailable.
func (o outcome) shed() bool { return o.status == http.StatusServiceUnavailable }

// userState returns the state of the user that a request was to enrol or unenrol.
func (o outcome) userState(k kind) userState {
	switch {
	case k == enrol && (o.failure == "" || o.example == reasonExists):
		return there
	case k == unenrol && (o.failure == "" || o.status == http.StatusNotFound):
		return gone
	case o.status < 400 || o.status >= 500:
		return unknown
	case k == enrol:
		return gone
	default: // refused, and so still there
		return there
	}
}

// parseAnswer reads an answer. A search that found nobody is served.
func parseAnswer(k kind, res *http.Response) outcome {
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return transportOutcome(err)
	}
	o := outcome{status: res.StatusCode, retryAfter: -1}
	if res.StatusCode == http.StatusOK || k == search && res.StatusCode == http.StatusNotFound {
		return o
	}
	o.failure, o.example = strconv.Itoa(res.StatusCode), shorten(reason(body))
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		o.retryAfter = seconds
	}
	return o
}

// reason returns what a problem object says.
func reason(body []byte) string {
	var problem struct {
		Detail string   `json:"detail"`
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(body, &problem) != nil {
		return ""
	}
	if len(problem.Errors) > 0 {
		return problem.Errors[0]
	}
	return problem.Detail
}

// transportOutcome is the outcome of a request without a whole answer.
func transportOutcome(err error) outcome {
	// The URL says nothing of the cause.
	if wrapped := new(url.Error); errors.As(err, &wrapped) && !wrapped.Timeout() {
		err = wrapped.Err
	}
	return outcome{failure: transportClass(err), example: shorten(err.Error()), retryAfter: -1}
}

// transportClass names the kind of a transport's error, one of a few.
func transportClass(err error) string {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.As(err, new(*net.DNSError)):
		return "dns"
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(tls.RecordHeaderError)), errors.As(err, new(tls.AlertError)):
		return "tls"
	}
	return "other"
}

// shorten makes a text one line of bounded length.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > exampleLimit {
		s = strings.ToValidUTF8(s[:exampleLimit], "") + "…"
	}
	return s
}
