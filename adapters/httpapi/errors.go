package httpapi

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"

	"imago/ports"
)

// The conditions that exist in HTTP only.
var (
	errMethodNotAllowed     = errors.New("method not allowed")
	errUnsupportedMediaType = errors.New("unsupported media type")
	errSlowBody             = errors.New("request body not received in time")
	errNotReady             = errors.New("not ready")
	errPanic                = errors.New("panic")
	errNoAudit              = errors.New("audit line not written")
	errNoMatch              = errors.New("no match")
	errToken                = errors.New("token not valid")
	errTokenRequired        = errors.New("token required")
	errNoPath               = errors.New("no such path")
	errNoList               = errors.New("no such list")
)

// codeNoMatch is the code of a search that found nobody, which is no refusal.
const codeNoMatch = "no_match"

// statusClientClosedRequest is what the log and the metrics say of a request
// whose client hung up; nobody receives it. The number is the one that nginx
// made customary.
const statusClientClosedRequest = 499

// verdict is one row of the table that turns an error into an answer.
type verdict struct {
	kind   error
	code   string // what log, audit log and metrics call it
	status int
	// shows says that the reasons of a ports.Refusal are for the client.
	shows bool
	// reason is shown when the error brings none of its own; empty for none.
	reason string
	// retryAfter is the header of that name in seconds, empty for none.
	retryAfter string
}

// clientGone is the verdict on a request whose client hung up.
var clientGone = verdict{kind: context.Canceled, code: "client_gone", status: statusClientClosedRequest}

// verdicts is searched from top to bottom. The deadline comes last: an adapter
// whose own, shorter deadline passed names a sentinel beside it.
var verdicts = []verdict{
	{kind: ports.ErrUnauthorized, code: "unauthorized", status: http.StatusUnauthorized},
	{kind: ports.ErrForbidden, code: "forbidden", status: http.StatusForbidden, shows: true},
	{kind: errToken, code: "token_not_valid", status: http.StatusBadRequest, reason: "provided token is not valid"},
	{kind: errTokenRequired, code: "token_required", status: http.StatusBadRequest,
		reason: "plain pictures are not accepted here: encrypt the picture and send the token (JWE compact serialization) as face"},
	{kind: ports.ErrInvalid, code: "invalid", status: http.StatusBadRequest, shows: true},
	{kind: ports.ErrExists, code: "exists", status: http.StatusBadRequest, shows: true, reason: "provided userId already exists"},
	{kind: ports.ErrTooLarge, code: "too_large", status: http.StatusRequestEntityTooLarge, shows: true},
	{kind: errNoMatch, code: codeNoMatch, status: http.StatusNotFound},
	{kind: errNoPath, code: "no_such_path", status: http.StatusNotFound,
		reason: "there is no such path: check its spelling and its slashes; the paths that there are stand in /openapi.yaml"},
	{kind: errNoList, code: "no_such_list", status: http.StatusNotFound, shows: true},
	{kind: ports.ErrNotFound, code: "not_found", status: http.StatusNotFound, shows: true},
	{kind: ports.ErrRateLimited, code: "rate_limited", status: http.StatusTooManyRequests, retryAfter: "1"},
	{kind: ports.ErrOverloaded, code: "overloaded", status: http.StatusServiceUnavailable, retryAfter: "1"},
	{kind: ports.ErrUnavailable, code: "unavailable", status: http.StatusServiceUnavailable, retryAfter: "5"},
	{kind: ports.ErrSpaceMismatch, code: "space_mismatch", status: http.StatusServiceUnavailable},

	{kind: errNoAudit, code: "no_audit", status: http.StatusServiceUnavailable, retryAfter: "5"},
	{kind: errMethodNotAllowed, code: "method_not_allowed", status: http.StatusMethodNotAllowed},
	{kind: errUnsupportedMediaType, code: "unsupported_media_type", status: http.StatusUnsupportedMediaType, shows: true},
	{kind: errSlowBody, code: "slow_body", status: http.StatusRequestTimeout},
	{kind: errNotReady, code: "not_ready", status: http.StatusServiceUnavailable, shows: true},
	{kind: context.DeadlineExceeded, code: "timeout", status: http.StatusGatewayTimeout},
}

// unknown is the verdict on every error without a row.
var unknown = verdict{code: "internal", status: http.StatusInternalServerError}

// details is what a problem object says of each status. Those of 400 and 404
// are the reference's.
var details = map[int]string{
	http.StatusBadRequest:            "Invalid request.",
	http.StatusUnauthorized:          "A valid x-api-key header is required.",
	http.StatusForbidden:             "The key does not permit this operation.",
	http.StatusNotFound:              "Server cannot find the requested resource.",
	http.StatusMethodNotAllowed:      "The resource does not support this method.",
	http.StatusRequestTimeout:        "The request was not received in time.",
	http.StatusRequestEntityTooLarge: "The request is larger than the server accepts.",
	http.StatusUnsupportedMediaType:  "The request body has a format that the server does not accept.",
	http.StatusTooManyRequests:       "Too many requests were sent. Try again later.",
	statusClientClosedRequest:        "The client closed the request.",
	http.StatusInternalServerError:   "The server met an unexpected condition.",
	http.StatusServiceUnavailable:    "The server cannot answer now. Try again later.",
	http.StatusGatewayTimeout:        "The request could not be completed in time.",
}

// judge finds the verdict on an error of a request whose connection lives as
// long as ctx. A context.Canceled that is not the connection's comes from a
// part of imago that gave up, not from the client, and is unexpected.
func judge(ctx context.Context, err error) verdict {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return clientGone
	}
	for _, v := range verdicts {
		if errors.Is(err, v.kind) {
			return v
		}
	}
	return unknown
}

// wait returns the value of Retry-After, empty for none: what the error says, in
// whole seconds and rounded up, else the verdict's.
func (v verdict) wait(err error) string {
	var limited *ports.RateLimited
	if v.status == http.StatusTooManyRequests && errors.As(err, &limited) {
		return strconv.Itoa(max(1, int(math.Ceil(limited.After.Seconds()))))
	}
	return v.retryAfter
}

// reasons returns what the client may read about err.
func (v verdict) reasons(err error) []string {
	var refusal *ports.Refusal
	if v.shows && errors.As(err, &refusal) && len(refusal.Reasons) > 0 {
		return refusal.Reasons
	}
	if v.reason != "" {
		return []string{v.reason}
	}
	return nil
}
