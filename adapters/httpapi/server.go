package httpapi

import (
	"cmp"
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

	"imago/config"
)

const (
	// maxHeaderBytes has room for the longest path (a user ID of 256 bytes,
	// percent-encoded) and the headers of proxies.
	maxHeaderBytes = 16 << 10
	// writeGrace is what writing an answer may take beyond the reading of the
	// request and the work on it. Answers are small.
	writeGrace = 10 * time.Second
)

// Instrument is told of every answered request. The route is a pattern of the
// API or "unmatched", the method a registered one or "other": both have few
// values whatever clients send.
type Instrument func(route, method string, status int, took time.Duration)

// Trace begins the span of a request. It returns the context for the work on
// it, the ID of its trace, and what ends the span with that which Instrument is
// told; the ID is empty for no trace, and end may be nil.
type Trace func(r *http.Request, requestID string) (ctx context.Context, traceID string, end func(route, method string, status int))

// ReserveFunc announces a picture of a client before it is received. It answers
// ports.ErrOverloaded where that would be in vain; release is called when the
// request is done.
type ReserveFunc func(client string) (release func(), err error)

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
	// Charge has keys pay for costly pictures, see Spend. It may be nil.
	Charge ChargeFunc
	// Tokens opens encrypted pictures; the zero value refuses them.
	Tokens Tokens
	// Detect looks for faces without enrolling or searching any.
	Detect DetectFunc
	Auth   Authenticator
	// Checks decide about readiness; none is always ready.
	Checks Checks
	// Metrics serves /metrics; nil leaves the path out. PublicMetrics is what
	// it shows on the API's own listener without a key; nil means the same.
	Metrics       http.Handler
	PublicMetrics http.Handler
	// Console serves what is below /console, by name; "" is /console itself.
	// Names that it lacks are not found.
	Console Console
	// Instrument may be nil, and so may Trace, Refused and Searched.
	Instrument Instrument
	Trace      Trace
	// Refused is told the code of each reason for which a request was refused.
	Refused func(reason string)
	// Searched is told of each search of a collection that exists.
	Searched func(collection string, found bool)
	Codes    ReasonCodes
	// Audit is told of each operation on the gallery.
	Audit Audit
	// Log may be nil for none.
	Log *slog.Logger
	// Fail is called, once, when a listener stops serving by itself; the
	// process is of no use from then on. It may be nil.
	Fail func(error)
}

// Server serves the API. Its exported methods are safe for concurrent use.
type Server struct {
	addresses     config.Server
	timeouts      config.Timeouts
	limits        config.Limits
	defaults      config.Search
	lists         []config.Collection
	gallery       Gallery
	reserve       ReserveFunc
	charge        ChargeFunc
	tokens        Tokens
	detect        DetectFunc
	auth          Authenticator
	checks        []*check
	metrics       http.Handler
	publicMetrics http.Handler
	console       Console
	instrument    Instrument
	trace         Trace
	refused       func(reason string)
	searched      func(collection string, found bool)
	codes         ReasonCodes
	audit         Audit
	log           *slog.Logger
	failed        func(error)

	grace       time.Duration // writeGrace but in tests
	uploadGrace time.Duration // uploadGrace but in tests
	tls         *tls.Config
	proxies     proxies
	failures    *failures
	crowded     rate.Sometimes // tells that connections have to wait
	flooded     rate.Sometimes // tells that there are too many wrong keys
	shed        rate.Sometimes // tells that requests are refused for want of workers

	bodies   *shares         // bytes of the bodies with pictures in progress
	requests *shares         // requests with a valid key in progress
	quiet    map[string]bool // routes whose access is logged at debug level

	stopping atomic.Bool
	failOnce sync.Once

	mu      sync.Mutex
	serving []*serving // the API first
	wait    sync.WaitGroup
}

// serving is one open listener and the server on it.
type serving struct {
	http     *http.Server
	listener net.Listener
	lowest   net.Listener       // what listener was built on
	cancel   context.CancelFunc // ends the contexts of all its requests
}

// New returns a Server that does not listen yet.
func New(o Options) *Server {
	s := &Server{
		addresses: o.Server, timeouts: o.Server.Timeouts, limits: o.Server.Limits, defaults: o.Search, lists: o.Lists,
		gallery: o.Gallery, reserve: o.Reserve, charge: o.Charge, tokens: o.Tokens, detect: o.Detect, auth: o.Auth, checks: newChecks(o.Checks),
		metrics: o.Metrics, publicMetrics: cmp.Or(o.PublicMetrics, o.Metrics), console: o.Console, instrument: o.Instrument,
		trace: o.Trace, refused: o.Refused, searched: o.Searched, codes: o.Codes, audit: o.Audit,
		log: o.Log, failed: o.Fail,
		grace: writeGrace, uploadGrace: uploadGrace, tls: o.TLS, proxies: newProxies(o.Server.TrustedProxies), failures: newFailures(),
		crowded: rate.Sometimes{Interval: time.Second}, flooded: rate.Sometimes{Interval: time.Minute},
		shed:   rate.Sometimes{Interval: time.Second},
		bodies: newShares(int64(o.Server.Limits.BodyMiB) << 20), requests: newShares(requestLimit(o.Server.Limits)),
		quiet: make(map[string]bool),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, row := range s.opsRoutes(s.serveMetrics) {
		s.quiet[row.pattern] = true
	}
	return s
}

// requestLimit returns how many requests may be in progress. An eighth of the
// connections is left to those who have no key, such as probes of health.
func requestLimit(l config.Limits) int64 {
	return int64(max(1, min(l.InFlight, l.Connections-max(1, l.Connections/8))))
}

// Handler returns what the main listener serves: the API, and the routes for
// operations unless they have a listener of their own.
func (s *Server) Handler() http.Handler {
	table := s.apiRoutes()
	if s.addresses.OpsListen == "" {
		table = append(table, s.opsRoutes(s.servePublicMetrics)...)
	}
	return s.newHandler(table)
}

// Start listens and returns; requests are served until Close. A listener that
// cannot be opened is an error, and nothing stays open then.
func (s *Server) Start(ctx context.Context) error {
	if err := s.open(ctx, s.addresses.Listen, s.tls, s.Handler()); err != nil {
		return err
	}
	if s.addresses.OpsListen == "" {
		return nil
	}
	if err := s.open(ctx, s.addresses.OpsListen, nil, s.newHandler(s.opsRoutes(s.serveMetrics))); err != nil {
		return errors.Join(err, s.Close(ctx))
	}
	return nil
}

// open starts serving on one address, over TLS where there is a configuration
// for it.
func (s *Server) open(ctx context.Context, address string, secure *tls.Config, h http.Handler) error {
	listener, err := listen(ctx, address, s.addresses.SocketMode)
	if err != nil {
		return fmt.Errorf("httpapi: listen on %s: %w", address, err)
	}
	lowest := listener
	base, cancel := context.WithCancel(context.Background())
	server := s.newHTTP(base, h)
	listener = newCapped(listener, s.limits.Connections, func() { s.tellCrowded(address) })
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	one := &serving{http: server, listener: listener, lowest: lowest, cancel: cancel}
	s.mu.Lock()
	s.serving = append(s.serving, one)
	s.mu.Unlock()
	s.log.Info("listening", "address", listener.Addr().String(), "tls", secure != nil)
	s.wait.Go(func() {
		if err := one.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fatal(fmt.Errorf("httpapi: serve on %s: %w", address, err))
		}
	})
	return nil
}

// tellCrowded logs that connections are closed for others.
func (s *Server) tellCrowded(address string) {
	s.crowded.Do(func() {
		s.log.Warn("connection limit reached, closing connections without work", "address", address, "connections", s.limits.Connections)
	})
}

// newHTTP bounds each phase of a connection. The body's own deadline and the
// time of the work follow each other, so an answer may be written until both
// have passed.
//
// HTTP/2 is left out: a request is one picture and one worker, so streams gain
// nothing, while with one request at a time on a connection the cap on
// connections is a cap on everything.
func (s *Server) newHTTP(base context.Context, h http.Handler) *http.Server {
	t := s.timeouts
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
		ConnContext:       withConnection,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// OPTIONS * is answered like every unknown path.
		DisableGeneralOptionsHandler: true,
	}
}

// fatal reports that a listener broke.
func (s *Server) fatal(err error) {
	s.failOnce.Do(func() {
		s.log.Error("server failed", "error", err)
		if s.failed != nil {
			s.failed(err)
		}
	})
}

// Close stops. Readiness is false at once. For the drain delay everything goes on,
// but each connection is closed behind its next answer. Then new connections are
// refused, and requests in progress have the configured time, or until ctx ends,
// before they are cut off. The operations listener goes last. Close returns when
// nothing is served any more; a second call does nothing.
func (s *Server) Close(ctx context.Context) error {
	s.stopping.Store(true)
	s.mu.Lock()
	all := s.serving
	s.serving = nil
	s.mu.Unlock()
	if delay := s.timeouts.DrainDelay; len(all) > 0 && delay > 0 {
		s.log.Info("draining", "delay", delay)
		pause(ctx, delay)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeouts.Shutdown)
	defer cancel()
	for _, one := range all {
		retire(ctx, one.lowest)
		if err := one.http.Shutdown(ctx); err != nil {
			s.log.Warn("requests in progress are cut off", "reason", err)
			_ = one.http.Close()
		}
		one.cancel()
	}
	s.wait.Wait()
	return nil
}

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
