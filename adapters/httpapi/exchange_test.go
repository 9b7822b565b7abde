package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/ports"
	"imago/test/fixture"
)

func TestRequestID(t *testing.T) {
	h := handler(&fakeGallery{})
	for _, tt := range []struct {
		given []string
		taken bool
	}{
		{nil, false},
		{[]string{"abc-DEF_1.2"}, true},
		{[]string{strings.Repeat("x", 128)}, true},
		{[]string{strings.Repeat("x", 129)}, false},
		{[]string{""}, false},
		{[]string{"a b"}, false},
		{[]string{"a\"b"}, false},
		{[]string{"ä"}, false},
		{[]string{"one", "two"}, false},
	} {
		r := request("GET", "/healthz", "")
		r.Header["X-Request-Id"] = tt.given
		got := do(h, r).Header.Get("X-Request-Id")
		require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`), got)
		require.Equal(t, tt.taken, slices.Contains(tt.given, got), "%q", tt.given)
	}
}

func TestCommonHeaders(t *testing.T) {
	h := handler(&fakeGallery{})
	for _, path := range []string{"/healthz", "/nowhere", "/users/search", "/users/..", "/openapi.yaml"} {
		r := do(h, request("GET", path, ""))
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"), path)
		require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"), path)
		require.NotEmpty(t, r.Header.Get("X-Request-Id"), path)
		require.Empty(t, r.Header.Get("Server"), path)
	}
}

// seen is one call of the Instrument hook.
type seen struct {
	route, method string
	status        int
}

func TestAccessLogAndInstrument(t *testing.T) {
	var log fixture.Log
	var got []seen
	o := options(failing(ports.ErrNotFound))
	o.Log = log.Logger()
	o.Instrument = func(route, method string, status int, took time.Duration) {
		require.GreaterOrEqual(t, took, time.Duration(0))
		got = append(got, seen{route, method, status})
	}
	h := httpapi.New(o).Handler()
	do(h, request("DELETE", "/users/blacklist/private-person", ""))
	do(h, request("BREW", "/users/private-person", ""))
	do(h, request("GET", "/private-person", ""))
	do(h, request("GET", "/healthz", ""))
	require.Equal(t, []seen{
		{"/users/{list}/{userId}", "DELETE", 404}, {"/users/{userId}", "other", 405},
		{"unmatched", "GET", 404}, {"/healthz", "GET", 200},
	}, got)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 4)
	require.Contains(t, lines[0], "level=INFO")
	require.Contains(t, lines[0], "method=DELETE route=/users/{list}/{userId} status=404")
	require.Contains(t, lines[0], "client=gateway")
	require.Regexp(t, `request_id=\S+ .*duration_ms=\d+.* bytes=\d\d\d `, lines[0])
	require.Contains(t, lines[3], "level=DEBUG")
	require.NotContains(t, log.String(), "private-person")
	require.NotContains(t, log.String(), theKey)
}

func TestUnexpectedErrorsAreLoggedOnceAndNotTold(t *testing.T) {
	for err, level := range map[error]string{
		errors.New("disk on fire"):                                    "ERROR",
		errors.Join(ports.ErrUnavailable, errors.New("disk on fire")): "WARN",
	} {
		var log fixture.Log
		o := options(failing(err))
		o.Log = log.Logger()
		r := request("DELETE", "/users/u1", "")
		r.Header.Set("X-Request-Id", "id-1")
		require.NotContains(t, text(t, do(httpapi.New(o).Handler(), r)), "fire")
		require.Equal(t, 1, strings.Count(log.String(), "disk on fire"))
		require.Contains(t, log.String(), `level=`+level+` msg="request failed" component=httpapi request_id=id-1`)
	}
}

func TestPanicIsA500(t *testing.T) {
	var log fixture.Log
	g := &fakeGallery{unenrol: func(context.Context, ports.Client, string, string) error { panic("lost my head") }}
	o := options(g)
	o.Log = log.Logger()
	o.Server.Limits.InFlight = 1
	h := httpapi.New(o).Handler()
	for range 2 { // the second shows that the place of the first is free again
		require.Empty(t, requireProblem(t, 500, do(h, request("DELETE", "/users/u1", ""))))
	}
	require.Equal(t, 2, strings.Count(log.String(), "panic: lost my head"))
	require.Contains(t, log.String(), "status=500")
}

func TestPanicAfterTheAnswerBeganCutsTheConnection(t *testing.T) {
	for _, cause := range []any{"late", http.ErrAbortHandler} {
		o := options(&fakeGallery{})
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			panic(cause)
		})
		h := httpapi.New(o).Handler()
		require.PanicsWithValue(t, http.ErrAbortHandler, func() {
			h.ServeHTTP(httptest.NewRecorder(), request("GET", "/metrics", ""))
		})
	}
}
