package httpapi

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"

	"imago/adapters/httpapi/body"
	"imago/ports"
)

// The conditions that exist in HTTP only, beside those of package body.
var (
	errMethodNotAllowed = errors.New("method not allowed")
	errNotReady         = errors.New("not ready")
	errPanic            = errors.New("panic")
	errNoAudit          = errors.New("audit entry not written")
	errNoMatch          = errors.New("no match")
	errToken            = errors.New("token not valid")
	errTokenRequired    = errors.New("token required")
	errNoPath           = errors.New("no such path")
	errNoList           = errors.New("no such list")
)

// codeNoMatch is the code of a search that found nobody. That is no refusal.
const codeNoMatch = "no_match"

// statusClientClosedRequest is what the log and the metrics say of a request
// whose client closed the connection; nobody receives it. The number is nginx's.
const statusClientClosedRequest = 499

// errorMapping is one row of the table that turns an error into an answer.
type errorMapping struct {
	kind   error
	code   string // what programs, log, audit log and metrics call it
	status int
	// shows says that the reasons of a ports.Refusal are for the client.
	shows bool
	// reason is shown when the error brings none of its own; empty for none.
	reason string
	// retryAfter is the header of that name in seconds, empty for none.
	retryAfter string
}

// clientGone is the mapping of a request whose client closed the connection.
var clientGone = errorMapping{kind: context.Canceled, code: "client_gone", status: statusClientClosedRequest}

// errorMappings is searched from top to bottom. The deadline comes last: an adapter
// whose own, shorter deadline passed names a sentinel beside it.
var errorMappings = []errorMapping{
	{kind: ports.ErrUnauthorized, code: "unauthorized", status: http.StatusUnauthorized},
	{kind: ports.ErrForbidden, code: "forbidden", status: http.StatusForbidden, shows: true},
	{kind: errToken, code: "token_not_valid", status: http.StatusBadRequest, reason: "provided token is not valid"},
	{kind: errTokenRequired, code: "token_required", status: http.StatusBadRequest,
		reason: "plain pictures are not accepted here: encrypt the picture and send the token (JWE compact serialization) as face"},
	{kind: ports.ErrInvalid, code: "invalid", status: http.StatusBadRequest, shows: true},
	{kind: ports.ErrExists, code: "exists", status: http.StatusBadRequest, shows: true, reason: "provided userId already exists"},
	{kind: ports.ErrOnlyFace, code: "only_face", status: http.StatusBadRequest, reason: "provided face is the only one of the user"},
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
	{kind: body.ErrMediaType, code: "unsupported_media_type", status: http.StatusUnsupportedMediaType, shows: true},
	{kind: body.ErrSlow, code: "slow_body", status: http.StatusRequestTimeout},
	{kind: errNotReady, code: "not_ready", status: http.StatusServiceUnavailable, shows: true},
	{kind: context.DeadlineExceeded, code: "timeout", status: http.StatusGatewayTimeout},
}

// unknown is the mapping of every error without a row.
var unknown = errorMapping{code: "internal", status: http.StatusInternalServerError}

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

// classify finds the mapping of an error of a request whose connection lives as
// long as ctx. A context.Canceled that is not the connection's comes from a
// part of imago that gave up, not from the client, and is unexpected.
func classify(ctx context.Context, err error) errorMapping {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return clientGone
	}
	return mappingOf(err)
}

// mappingOf finds the mapping of an error whose client is still there.
func mappingOf(err error) errorMapping {
	for _, m := range errorMappings {
		if errors.Is(err, m.kind) {
			return m
		}
	}
	return unknown
}

// wait returns the value of Retry-After, empty for none: what the error says, in
// whole seconds and rounded up, else the mapping's.
func (m errorMapping) wait(err error) string {
	var limited *ports.RateLimited
	if m.status == http.StatusTooManyRequests && errors.As(err, &limited) {
		return strconv.Itoa(max(1, int(math.Ceil(limited.After.Seconds()))))
	}
	return m.retryAfter
}

// mistakes are several things that are wrong with a request. They are told at once, with
// the status of the first row of the table that one of them has.
type mistakes []error

func (m mistakes) Error() string { return errors.Join(m...).Error() }

// Unwrap returns all of them.
func (m mistakes) Unwrap() []error { return m }

func (m *mistakes) add(err error) {
	if err != nil {
		*m = append(*m, err)
	}
}

// err returns nil where there is no mistake.
func (m mistakes) err() error {
	switch len(m) {
	case 0:
		return nil
	case 1:
		return m[0]
	}
	return m
}

func refuse(reason string) error { return ports.Refuse(ports.ErrInvalid, reason) }
