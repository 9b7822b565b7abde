package certificate

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"imago/config"
)

// pollInterval is how soon a changed file is noticed.
const pollInterval = time.Second

// Keeper keeps a certificate up to date. It is safe for concurrent use.
type Keeper struct {
	cfg      config.TLS
	log      *slog.Logger
	interval time.Duration
	onReload func(error)

	current atomic.Pointer[tls.Config]

	reading sync.Mutex        // one reading of the files at a time
	seen    [sha256.Size]byte // the state of the files at the last reading
	pending error             // what was wrong then, until it is reported

	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// New returns a Keeper of the files that cfg names. It has no certificate until
// it is started.
func New(cfg config.TLS, log *slog.Logger) *Keeper {
	return &Keeper{cfg: cfg, log: log, interval: pollInterval}
}

// OnReload sets a function that is told of every attempt to use changed files:
// nil for success. It must be called before Start; the function must not block.
func (k *Keeper) OnReload(f func(error)) { k.onReload = f }

// TLS returns the configuration of a server whose new connections use what was
// read last; open ones stay as they are. It is nil where no certificate is
// configured. No connection can be made before Start.
func (k *Keeper) TLS() *tls.Config {
	if !k.cfg.Enabled() {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load(), nil },
	}
}

// Start reads the files and watches them until Close. It fails when they cannot
// be used, and does nothing where no certificate is configured.
func (k *Keeper) Start(context.Context) error {
	if !k.cfg.Enabled() {
		return nil
	}
	if err := k.load(); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(context.Background())
	k.wait.Go(func() { k.watch(ctx) })
	return nil
}

// Close ends the watching. The certificate stays in force.
func (k *Keeper) Close(context.Context) error {
	if k.cancel != nil {
		k.cancel()
	}
	k.wait.Wait()
	return nil
}

// Reload reads the files at once, changed or not. When they cannot be used, what
// is in force stays and the error says why.
func (k *Keeper) Reload() error {
	if !k.cfg.Enabled() {
		return nil
	}
	k.reading.Lock()
	defer k.reading.Unlock()
	return k.report(k.load())
}

// load reads the files and puts them in force, and remembers their state.
func (k *Keeper) load() error {
	read, err := readFiles(k.cfg)
	k.seen, k.pending = read.state(err), nil
	if err != nil {
		return err
	}
	settings, err := read.settings(k.cfg)
	if err != nil {
		return err
	}
	leaf := settings.Certificates[0].Leaf
	k.log.Info("TLS certificate loaded", "subject", leaf.Subject.String(), "names", leaf.DNSNames, "expires", leaf.NotAfter)
	k.current.Store(settings)
	return nil
}

// watch looks at the files until its context ends.
func (k *Keeper) watch(ctx context.Context) {
	ticker := time.NewTicker(k.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			k.poll()
		}
	}
}

// poll puts changed files in force. A certificate and its key are two files that
// cannot be replaced in one step: what is wrong is reported when it is still
// there at the next look, and once.
func (k *Keeper) poll() {
	k.reading.Lock()
	defer k.reading.Unlock()
	read, err := readFiles(k.cfg)
	if read.state(err) != k.seen {
		if err := k.load(); err != nil {
			k.pending = err
			return
		}
		_ = k.report(nil)
		return
	}
	if k.pending != nil {
		_ = k.report(k.pending)
		k.pending = nil
	}
}

// report tells how an attempt went and returns its error.
func (k *Keeper) report(err error) error {
	if err != nil {
		err = fmt.Errorf("certificate: %w", err)
		k.log.Error("the TLS certificate in force stays: the changed files cannot be used", "error", err)
	}
	if k.onReload != nil {
		k.onReload(err)
	}
	return err
}
