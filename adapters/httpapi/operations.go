package httpapi

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"imago/ports"
)

// checkTimeout bounds one readiness check.
const checkTimeout = 2 * time.Second

// Checks are the parts of imago that must be able to serve before it can, by
// the names under which /readyz reports them.
type Checks map[string]ports.HealthChecker

// operations answers the people and programs that run imago: health, readiness and
// metrics.
type operations struct {
	checks        Checks
	running       singleflight.Group // a check that hangs is not begun again
	metrics       http.Handler       // nil for none
	publicMetrics http.Handler
	access        *access
	stopping      *atomic.Bool
}

func newOperations(o Options, a *access, stopping *atomic.Bool) *operations {
	return &operations{
		checks: o.Checks, metrics: o.Metrics, publicMetrics: cmp.Or(o.PublicMetrics, o.Metrics),
		access: a, stopping: stopping,
	}
}

// state is the body of a healthy answer.
type state struct {
	Status string `json:"status"`
}

// health says that the process runs and answers.
func (o *operations) health(x *exchange, _ *http.Request) error {
	return x.answer(state{"ok"})
}

// ready says whether requests can be served now. It names the parts that
// cannot; why is in the log only.
func (o *operations) ready(x *exchange, r *http.Request) error {
	if o.stopping.Load() {
		return ports.Refuse(errNotReady, "server is shutting down")
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	names := slices.Sorted(maps.Keys(o.checks))
	var results []<-chan singleflight.Result
	for _, name := range names {
		results = append(results, o.running.DoChan(name, func() (any, error) {
			// A little less than what is waited for it, so that it says itself what it lacked.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout-checkTimeout/10)
			defer cancel()
			return nil, o.checks[name].CheckHealth(ctx)
		}))
	}
	var failing []string
	for i, name := range names {
		if err := await(ctx, results[i]); err != nil {
			failing = append(failing, name+" is not ready")
			x.log.Log(ctx, levelOf(err, slog.LevelWarn), "readiness check failed", "check", name, "error", err)
		}
	}
	if len(failing) > 0 {
		return ports.Refuse(errNotReady, failing...)
	}
	return x.answer(state{"ready"})
}

// await returns the error of a check, also of one that does not heed its context.
func await(ctx context.Context, result <-chan singleflight.Result) error {
	select {
	case r := <-result:
		return r.Err
	case <-ctx.Done():
	}
	select {
	case r := <-result: // in time, while another check was waited for
		return r.Err
	default:
		return ctx.Err()
	}
}

// showPublicMetrics serves the metrics beside the API, where anybody may ask: the
// sizes of lists are for keys that may read all of them. A key that cannot be used
// is as good as none.
func (o *operations) showPublicMetrics(x *exchange, r *http.Request) error {
	if r.Header.Get("X-Api-Key") != "" {
		client, err := o.access.authenticate(x, r)
		if err == nil && client.MayAnywhere(ports.OpRead) && len(client.Collections) == 0 {
			return o.showMetrics(x, r)
		}
	}
	if o.publicMetrics == nil {
		return errNoPath
	}
	o.publicMetrics.ServeHTTP(x, r)
	return nil
}

// showMetrics serves all metrics.
func (o *operations) showMetrics(x *exchange, r *http.Request) error {
	if o.metrics == nil {
		return errNoPath
	}
	o.metrics.ServeHTTP(x, r)
	return nil
}
