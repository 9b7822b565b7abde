package main

import (
	"context"
	"log/slog"

	"go.uber.org/fx"

	"imago/adapters/apikey"
	"imago/adapters/audit"
	"imago/adapters/certificate"
	"imago/adapters/httpapi"
	"imago/adapters/telemetry"
	"imago/adapters/token"
	"imago/config"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/outage"
	"imago/ports"
)

// observability composes metrics, traces and the audit log.
func observability(cfg config.Config) fx.Option {
	return fx.Options(
		fx.Supply(cfg.Audit, telemetry.Version(version)),
		telemetry.Module, audit.Module,
		fx.Provide(newHTTPTelemetry, watchAudit, newAudit),
		fx.Decorate(
			telemetry.WrapDecoder, telemetry.WrapDetector, telemetry.WrapEmbedder, telemetry.WrapVectorStore,
		),
		fx.Invoke(registerMetrics),
	)
}

// counted are the parts with figures for telemetry.
type counted struct {
	fx.In

	Config       config.Config
	Metrics      *telemetry.Metrics
	Keys         *apikey.Keyring
	Certificates *certificate.Watcher
	Tokens       *token.Opener
	Store        ports.VectorStore
	Driver       ports.StoreDriver
	Extractor    *extraction.Extractor
}

// registerMetrics connects the parts to telemetry.
func registerMetrics(p counted) {
	m, collections := p.Metrics, collectionNames(p.Config)
	p.Keys.OnReload(m.KeysReloaded)
	p.Certificates.OnReload(m.TLSReloaded)
	if p.Config.Server.TLS.Enabled() {
		m.WatchCertificate(p.Certificates.Expires)
	}
	p.Tokens.OnReload(m.TokensReloaded)
	p.Tokens.OnRefused(m.TokenRefused)
	for _, reason := range token.Reasons() {
		m.ExpectTokenRefusal(string(reason))
	}
	m.WatchGallery(p.Store, collections)
	if r, ok := p.Driver.(ports.Replica); ok {
		m.WatchReplica(r.Stats)
	}
	m.ExpectSearches(collections)
	for _, outcome := range gallery.Outcomes() {
		m.ExpectBest(collections, string(outcome))
	}
	m.ExpectRefusals(httpapi.Codes())
	workers, queue := p.Extractor.Capacity()
	m.WatchQueue(p.Extractor.Load, workers, queue)
}

func newHTTPTelemetry(m *telemetry.Metrics, t *telemetry.Tracing) httpapi.Telemetry {
	return httpapi.Telemetry{
		Metrics: m.Handler(), PublicMetrics: m.PublicHandler(), Instrument: m.Instrument, Trace: t.Request, Tracked: t.Track,
		Refused: m.Refused, Searched: m.Searched, Best: func(collection string, b gallery.Best) { m.BestFound(collection, string(b.Outcome), b.Similarity) }, Verified: m.Verified,
	}
}

// watchedAudit is the audit log with the events of its outages.
type watchedAudit struct {
	*audit.Log
	watch *outage.Watch
}

func watchAudit(l *audit.Log, log *slog.Logger) *watchedAudit {
	return &watchedAudit{l, outage.New(log.With("component", "audit"), outage.Words{
		Level: slog.LevelError,
		Lost:  "cannot write audit log", Action: "with audit.required requests are answered 503 until it can be written; make room on its disk",
		Back: "audit log is written again",
	})}
}

// Write writes an entry.
func (a *watchedAudit) Write(e ports.AuditEntry) error {
	return a.noted(a.Log.Write(e))
}

// CheckHealth implements ports.HealthChecker.
func (a *watchedAudit) CheckHealth(ctx context.Context) error {
	return a.noted(a.Log.CheckHealth(ctx))
}

func (a *watchedAudit) noted(err error) error {
	if err != nil {
		return a.watch.Failed("write", err)
	}
	a.watch.Succeeded("write")
	return nil
}

// newAudit connects the API to the audit log, if one is configured.
func newAudit(l *watchedAudit, m *telemetry.Metrics, cfg config.Audit) httpapi.Audit {
	if cfg.Path == "" {
		return httpapi.Audit{}
	}
	return httpapi.Audit{Required: cfg.Required, Write: func(e ports.AuditEntry) error {
		err := l.Write(e)
		if err != nil {
			m.AuditFailed()
		}
		return err
	}}
}
