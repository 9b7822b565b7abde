package httpapi_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/test/fixture"
)

// checker is a HealthChecker made of a function.
type checker func(context.Context) error

func (c checker) CheckHealth(ctx context.Context) error { return c(ctx) }

func well(context.Context) error { return nil }

func TestHealth(t *testing.T) {
	r := do(handler(&fakeGallery{}), request("GET", "/healthz", ""))
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, `{"status":"ok"}`, text(t, r))
}

func TestReady(t *testing.T) {
	var log fixture.Log
	sick := func(context.Context) error { return errors.New("dial secret.example: refused") }
	for _, tt := range []struct {
		checks httpapi.Checks
		want   []string
	}{
		{nil, nil},
		{httpapi.Checks{"store": checker(well)}, nil},
		{httpapi.Checks{"store": checker(sick), "detector": checker(well)}, []string{"store is not ready"}},
		{httpapi.Checks{"store": checker(sick), "detector": checker(sick)}, []string{"detector is not ready", "store is not ready"}},
	} {
		o := options(&fakeGallery{})
		o.Checks, o.Log = tt.checks, log.Logger()
		r := do(httpapi.New(o).Handler(), request("GET", "/readyz", ""))
		if tt.want == nil {
			require.Equal(t, 200, r.StatusCode)
			require.Equal(t, `{"status":"ready"}`, text(t, r))
			continue
		}
		require.Equal(t, tt.want, requireProblem(t, 503, r))
	}
	require.Contains(t, log.String(), "secret.example")
	require.NotContains(t, log.String(), "request failed")
}

// A checker that hangs is given up when the probe gives up, and is not started
// a second time meanwhile.
func TestReadyWithAHangingCheck(t *testing.T) {
	release, started := make(chan struct{}), make(chan struct{}, 10)
	o := options(&fakeGallery{})
	o.Checks = httpapi.Checks{"store": checker(func(context.Context) error {
		started <- struct{}{}
		<-release
		return nil
	})}
	h := httpapi.New(o).Handler()
	for range 3 {
		ctx, giveUp := context.WithCancel(t.Context())
		r := request("GET", "/readyz", "").WithContext(ctx)
		done := make(chan struct{})
		go func() {
			do(h, r)
			close(done)
		}()
		if len(started) == 0 {
			<-started
			started <- struct{}{}
		}
		giveUp()
		receive(t, done)
	}
	require.Len(t, started, 1)
	close(release)
	require.Eventually(t, func() bool {
		return do(h, request("GET", "/readyz", "")).StatusCode == 200
	}, readyWithin, readyEvery)
}
