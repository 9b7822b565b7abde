package certificate

import (
	"crypto/tls"
	"log/slog"
	"time"

	"imago/config"
	"imago/config/reload"
)

// Watcher holds a TLS certificate and reloads it when its files change. It is safe for
// concurrent use.
type Watcher struct {
	*reload.Value[*tls.Config]
	enabled bool
}

// New returns a Watcher of the files in cfg. It has no certificate until it is started,
// and never where cfg configures none.
func New(cfg config.TLS, log *slog.Logger) *Watcher {
	source := reload.Source[*tls.Config]{
		Component: "certificate", What: "TLS certificates",
		Parse:    func(*tls.Config) (*tls.Config, error) { return parse(cfg) },
		Describe: describe,
	}
	if cfg.Enabled() {
		source.Paths = []string{cfg.CertFile, cfg.KeyFile, cfg.ClientCAFile}
	}
	return &Watcher{reload.New(source, log), cfg.Enabled()}
}

// TLS returns the configuration of a server whose new connections use the current
// certificate; open ones are not affected. It is nil where no certificate is configured.
// No connection can be made before Start.
func (w *Watcher) TLS() *tls.Config {
	if !w.enabled {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return w.Current(), nil },
	}
}

// Expires returns when the current certificate expires; the zero time where there is
// none.
func (w *Watcher) Expires() time.Time {
	current := w.Current()
	if current == nil {
		return time.Time{}
	}
	return current.Certificates[0].Leaf.NotAfter
}

func describe(settings *tls.Config) []any {
	leaf := settings.Certificates[0].Leaf
	return []any{"subject", leaf.Subject.String(), "names", leaf.DNSNames, "expires", leaf.NotAfter}
}
