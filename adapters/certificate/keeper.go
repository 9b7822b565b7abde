package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"imago/config"
	"imago/config/reload"
)

// Keeper keeps a certificate up to date. It is safe for concurrent use.
type Keeper struct {
	cfg      config.TLS
	log      *slog.Logger
	onReload func(error)
	files    *reload.Files
	current  atomic.Pointer[tls.Config]
}

// New returns a Keeper of the files that cfg names. It has no certificate until
// it is started.
func New(cfg config.TLS, log *slog.Logger) *Keeper {
	k := &Keeper{cfg: cfg, log: log}
	k.files = reload.New(k.load, k.report, cfg.CertFile, cfg.KeyFile, cfg.ClientCAFile)
	return k
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
	if err := k.files.Start(); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return nil
}

// Close ends the watching. The certificate stays in force.
func (k *Keeper) Close(context.Context) error {
	k.files.Close()
	return nil
}

// Reload reads the files at once, changed or not. When they cannot be used, what
// is in force stays and the error says why.
func (k *Keeper) Reload() error {
	if !k.cfg.Enabled() {
		return nil
	}
	if err := k.files.Reload(); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return nil
}

// Expires returns when the certificate in force stops being valid; the zero time
// where there is none.
func (k *Keeper) Expires() time.Time {
	settings := k.current.Load()
	if settings == nil {
		return time.Time{}
	}
	return settings.Certificates[0].Leaf.NotAfter
}

// load reads the files and puts them in force.
func (k *Keeper) load() error {
	read, err := readFiles(k.cfg)
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

// report tells how an attempt to use changed files went.
func (k *Keeper) report(err error) {
	if err != nil {
		err = fmt.Errorf("certificate: %w", err)
		k.log.Error("the TLS certificate in force stays: the changed files cannot be used", "error", err)
	}
	if k.onReload != nil {
		k.onReload(err)
	}
}
