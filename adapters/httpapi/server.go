package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"imago/adapters/httpapi/listener"
	"imago/config"
	"imago/core/gallery"
)

const (
	// maxHeaderBytes is enough for the longest path (a user ID of 256 bytes,
	// percent-encoded) and the headers of proxies.
	maxHeaderBytes = 16 << 10
	// writeGrace is what writing an answer may take beyond the reading of the
	// request and the work on it. Answers are small.
	writeGrace = 10 * time.Second
)

// Instrument is called with every answered request. The route is a pattern of the
// API or "unmatched", the method a registered one or "other": both have few
// values whatever clients send.
type Instrument func(route, method string, status int, took time.Duration)

// Trace begins the span of a request. It returns the context for the work on
// it, the ID of its trace, and what ends the span with the arguments of an
// Instrument; the ID is empty for no trace, and end may be nil.
type Trace func(r *http.Request, requestID string) (ctx context.Context, traceID string, end func(route, method string, status int))

// Telemetry is what observes the API. Every field may be nil.
type Telemetry struct {
	// Metrics serves /metrics; nil leaves the path out. PublicMetrics is what
	// it shows on the API's own listener without a key; nil means the same.
	Metrics       http.Handler
	PublicMetrics http.Handler
	Instrument    Instrument
	Trace         Trace
	// Tracked is called with the JSON that a client sent to find its request by.
	Tracked func(ctx context.Context, tracking string)
	// Refused is called with the code of each reason for which a request was refused.
	Refused func(reason string)
	// Searched is called with each search of a collection that exists, but for those that
	// only look who is closest.
	Searched func(collection string, found bool)
	// Best is called with the best score of such a search, of those that are measured.
	Best func(collection string, best gallery.Best)
	// Verified is called with each comparison with one user of a collection.
	Verified func(collection string, match bool)
}

// Options are what a Server is made of.
type Options struct {
	Server config.Server
	// TLS is for the main listener; nil leaves it plain.
	TLS *tls.Config
	// Search holds the defaults of a search that names none.
	Search config.Search
	// Lists are the collections beside the inventory.
	Lists   []config.Collection
	Gallery Gallery
	// Reserve may be nil for no limit on pictures.
	Reserve ReserveFunc
	// Tokens opens encrypted pictures; the zero value refuses them.
	Tokens Tokens
	// Detect looks for faces without enrolling or searching any.
	Detect DetectFunc
	Keys   Keys
	// Checks decide about readiness; none is always ready.
	Checks  Checks
	Console Console
	Telemetry
	// Audit records each operation on the gallery.
	Audit Audit
	// Log may be nil for none.
	Log *slog.Logger
	// Fail is called, once, when a listener stops serving by itself; the
	// process is of no use from then on. It may be nil.
	Fail func(error)
}

// Server serves the API. Its exported methods are safe for concurrent use.
type Server struct {
	config        config.Server
	tls           *tls.Config
	api           http.Handler
	operations    http.Handler // with a listener of its own, else nil
	log           *slog.Logger
	fail          func(error)
	grace         time.Duration  // writeGrace but in tests
	connectionLog rate.Sometimes // of the limit on connections

	stopping atomic.Bool
	cutOff   atomic.Int64
	failOnce sync.Once

	mu      sync.Mutex
	serving []*serving // the API first
	wait    sync.WaitGroup
}

// serving is one open listener and the server on it.
type serving struct {
	http     *http.Server
	listener net.Listener
	socket   net.Listener       // what listener was built on
	cancel   context.CancelFunc // ends the contexts of all its requests
	requests atomic.Int64       // in progress
}

// counted counts the requests in progress.
func (s *serving) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		defer s.requests.Add(-1)
		h.ServeHTTP(w, r)
	})
}

// New returns a Server that does not listen yet.
func New(o Options) *Server {
	s := &Server{
		config: o.Server, tls: o.TLS, fail: o.Fail, grace: writeGrace,
		connectionLog: rate.Sometimes{Interval: time.Second}, log: slog.New(slog.DiscardHandler),
	}
	if o.Log != nil {
		s.log = o.Log.With("component", "httpapi")
	}
	observer, access := newObserver(o, s.log, &s.stopping), newAccess(o)
	operations := newOperations(o, access, &s.stopping)
	table := apiRoutes(o, access)
	if o.Server.OpsListen == "" {
		table = append(table, operations.routes(operations.showPublicMetrics)...)
	} else {
		s.operations = observer.handler(operations.routes(operations.showMetrics))
	}
	s.api = observer.handler(table)
	return s
}

// Handler returns what the main listener serves: the API, and the routes for
// operations unless they have a listener of their own.
func (s *Server) Handler() http.Handler { return s.api }

// Start listens and returns; requests are served until Close. A listener that
// cannot be opened is an error, and nothing stays open then.
func (s *Server) Start(ctx context.Context) error {
	if err := s.open(ctx, s.config.Listen, s.tls, s.api); err != nil {
		return err
	}
	if s.operations == nil {
		return nil
	}
	if err := s.open(ctx, s.config.OpsListen, nil, s.operations); err != nil {
		return errors.Join(err, s.Close(ctx))
	}
	return nil
}

// open starts serving on one address, over TLS where there is a configuration
// for it.
func (s *Server) open(ctx context.Context, address string, secure *tls.Config, h http.Handler) error {
	socket, err := listener.Open(ctx, address, s.config.SocketMode)
	if err != nil {
		return fmt.Errorf("httpapi: listen on %s: %w", address, err)
	}
	base, cancel := context.WithCancel(context.Background())
	var l net.Listener = listener.Limit(socket, s.config.Limits.Connections, func() {
		s.connectionLog.Do(func() {
			s.log.Warn("connection limit reached, closing idle connections", "address", address, "connections", s.config.Limits.Connections)
		})
	})
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	one := &serving{listener: l, socket: socket, cancel: cancel}
	one.http = s.newHTTP(base, one.counted(h))
	s.mu.Lock()
	s.serving = append(s.serving, one)
	s.mu.Unlock()
	s.log.Info("listening", "address", l.Addr().String(), "tls", secure != nil)
	s.wait.Go(func() {
		if err := one.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.fatal(fmt.Errorf("httpapi: serve on %s: %w", address, err))
		}
	})
	return nil
}

// newHTTP bounds each phase of a connection. The body's own deadline and the
// time of the work follow each other, so an answer may be written until both
// have passed.
//
// HTTP/2 is left out: a request is one picture and one worker, so streams gain
// nothing, while with one request at a time on a connection the limit on
// connections is a limit on everything.
func (s *Server) newHTTP(base context.Context, h http.Handler) *http.Server {
	t := s.config.Timeouts
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: t.Header,
		ReadTimeout:       t.Body,
		WriteTimeout:      t.Body + t.Request + s.grace,
		IdleTimeout:       t.Idle,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       listener.WithConn,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// OPTIONS * is answered like every unknown path.
		DisableGeneralOptionsHandler: true,
	}
}

// fatal reports that a listener broke.
func (s *Server) fatal(err error) {
	s.failOnce.Do(func() {
		s.log.Error("listener failed, shutting down", "error", err)
		if s.fail != nil {
			s.fail(err)
		}
	})
}

// Close stops. Readiness is false at once. For the drain delay everything goes on,
// but each connection is closed behind its next answer. Then new connections are
// refused, and requests in progress have the configured time, or until ctx ends,
// before their connections are closed. The operations listener goes last. Close returns when
// nothing is served any more; a second call does nothing.
func (s *Server) Close(ctx context.Context) error {
	s.stopping.Store(true)
	s.mu.Lock()
	all := s.serving
	s.serving = nil
	s.mu.Unlock()
	if delay := s.config.Timeouts.DrainDelay; len(all) > 0 && delay > 0 {
		s.log.Info("draining connections", "duration_ms", delay.Milliseconds())
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeouts.Shutdown)
	defer cancel()
	for _, one := range all {
		listener.Drain(ctx, one.socket)
		if err := one.http.Shutdown(ctx); err != nil {
			requests := one.requests.Load()
			s.cutOff.Add(requests)
			s.log.Warn("shutdown timed out, closing connections with requests in progress", "requests", requests, "error", err)
			_ = one.http.Close()
		}
		one.cancel()
	}
	s.wait.Wait()
	return nil
}

// CutOff returns how many requests were still in progress when Close closed their
// connections.
func (s *Server) CutOff() int { return int(s.cutOff.Load()) }

// Addr returns the address of the main listener while it is open, else nil.
func (s *Server) Addr() net.Addr { return s.addr(0) }

// OpsAddr returns the address of the operations listener while it is open, else
// nil.
func (s *Server) OpsAddr() net.Addr { return s.addr(1) }

func (s *Server) addr(i int) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= len(s.serving) {
		return nil
	}
	return s.serving[i].listener.Addr()
}
