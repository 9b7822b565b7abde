package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"imago/ports"
)

// checkTimeout bounds one readiness check.
const checkTimeout = 2 * time.Second

// Checks are the parts of imago that must be able to serve before it can, by
// the names under which /readyz reports them.
type Checks map[string]ports.HealthChecker

// check runs one HealthChecker, never twice at the same time: one that hangs
// costs a single goroutine however often it is asked for.
type check struct {
	name    string
	checker ports.HealthChecker
	idle    chan struct{} // holds a token while no check runs
}

func newChecks(all Checks) []*check {
	var out []*check
	for name, checker := range all {
		c := &check{name: name, checker: checker, idle: make(chan struct{}, 1)}
		c.idle <- struct{}{}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *check) int { return cmp.Compare(a.name, b.name) })
	return out
}

// run returns what is wrong with the part, within the context's deadline even
// if the checker does not keep to it.
func (c *check) run(ctx context.Context) error {
	select {
	case <-c.idle:
	case <-ctx.Done():
		return errors.New("the check before is still running")
	}
	result := make(chan error, 1)
	go func() {
		result <- c.checker.CheckHealth(ctx)
		c.idle <- struct{}{}
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// state is the body of a healthy answer.
type state struct {
	Status string `json:"status"`
}

// serveHealth says that the process runs and answers.
func serveHealth(x *exchange, _ *http.Request) error {
	writeJSON(x, http.StatusOK, mediaJSON, state{"ok"})
	return nil
}

// serveReady says whether requests can be served now. It names the parts that
// cannot; why is in the log only.
func (s *Server) serveReady(x *exchange, r *http.Request) error {
	if s.stopping.Load() {
		return ports.Refuse(errNotReady, "server is shutting down")
	}
	if failing := s.failing(r.Context(), x); len(failing) > 0 {
		return ports.Refuse(errNotReady, failing...)
	}
	writeJSON(x, http.StatusOK, mediaJSON, state{"ready"})
	return nil
}

// failing runs all checks at once and names those that fail.
func (s *Server) failing(ctx context.Context, x *exchange) []string {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(s.checks))
	var wait sync.WaitGroup
	for i, c := range s.checks {
		wait.Go(func() { errs[i] = c.run(ctx) })
	}
	wait.Wait()
	var names []string
	for i, err := range errs {
		if err != nil {
			names = append(names, s.checks[i].name+" is not ready")
			s.logger(x).Warn("not ready", "part", s.checks[i].name, "error", err)
		}
	}
	return names
}

// servePublicMetrics serves the metrics beside the API, where anybody may ask: the
// sizes of lists are for keys that may read all of them. A key that cannot be used
// is as good as none.
func (s *Server) servePublicMetrics(x *exchange, r *http.Request) error {
	if r.Header.Get("X-Api-Key") != "" {
		client, err := s.authenticate(x, r)
		if err == nil && client.MayAnywhere(ports.OpRead) && len(client.Collections) == 0 {
			return s.serveMetrics(x, r)
		}
	}
	if s.publicMetrics == nil {
		return ports.ErrNotFound
	}
	s.publicMetrics.ServeHTTP(x, r)
	return nil
}

// serveMetrics hands over to the metrics handler, where there is one.
func (s *Server) serveMetrics(x *exchange, r *http.Request) error {
	if s.metrics == nil {
		return errNoPath
	}
	s.metrics.ServeHTTP(x, r)
	return nil
}
