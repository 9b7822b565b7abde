package main

import (
	"maps"
	"slices"

	"go.uber.org/fx"

	"imago/adapters/apikey"
	"imago/adapters/audit"
	"imago/adapters/certificate"
	"imago/adapters/httpapi"
	"imago/adapters/imaging"
	"imago/adapters/telemetry"
	"imago/adapters/token"
	"imago/config"
	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// observability composes what tells operators about the API: metrics, traces
// and the audit log.
func observability(cfg config.Config) fx.Option {
	return fx.Options(
		fx.Supply(cfg.Audit, telemetry.Version(version)),
		telemetry.Module, audit.Module,
		fx.Provide(newHTTPTelemetry, newAudit),
		fx.Decorate(
			telemetry.WrapDecoder, telemetry.WrapDetector, telemetry.WrapEmbedder, telemetry.WrapVectorStore,
		),
		fx.Invoke(watch),
	)
}

// reasonCodes are what the log, the audit log and the metrics call the sentences
// that tell a client what is wrong with a picture.
func reasonCodes() httpapi.ReasonCodes {
	return httpapi.ReasonCodes{
		extraction.ReasonNoFace:    "no_face",
		quality.ReasonSeveralFaces: "several_faces",
		quality.ReasonTooSmall:     "face_too_small",
		quality.ReasonUncertain:    "face_uncertain",
		quality.ReasonBlurred:      "face_blurred",
		quality.ReasonTurned:       "face_turned",
		quality.ReasonTilted:       "face_tilted",
		quality.ReasonRotated:      "face_rotated",
		quality.ReasonUpright:      "face_orientation_unclear",
		quality.ReasonDark:         "face_too_dark",
		quality.ReasonBright:       "face_too_bright",
		quality.ReasonFlat:         "face_low_contrast",
		quality.ReasonDistorted:    "face_distorted",
		imaging.ReasonEmpty:        "image_empty",
		imaging.ReasonFormat:       "image_format",
		imaging.ReasonDamaged:      "image_damaged",
		imaging.ReasonNoPixels:     "image_no_pixels",
	}
}

// watch has telemetry look at what counts itself.
func watch(
	m *telemetry.Metrics, keys *apikey.Keyring, certificates *certificate.Keeper, tokens *token.Opener, store ports.VectorStore, x *extraction.Extractor, cfg config.Config,
) {
	keys.OnReload(m.KeysReloaded)
	certificates.OnReload(m.TLSReloaded)
	if cfg.Server.TLS.Enabled() {
		m.WatchCertificate(certificates.Expires)
	}
	tokens.OnReload(m.TokensReloaded)
	tokens.OnRefused(m.TokenRefused)
	for _, reason := range token.Reasons() {
		m.ExpectTokenRefusal(string(reason))
	}
	m.WatchGallery(store, collectionNames(cfg))
	m.ExpectSearches(collectionNames(cfg))
	m.ExpectRefusals(slices.Concat(httpapi.Codes(), slices.Collect(maps.Values(reasonCodes()))))
	workers, queue := x.Capacity()
	m.WatchQueue(x.Load, workers, queue)
}

func newHTTPTelemetry(m *telemetry.Metrics, t *telemetry.Tracing) httpapi.Telemetry {
	return httpapi.Telemetry{
		Metrics: m.Handler(), PublicMetrics: m.PublicHandler(), Instrument: m.Instrument, Trace: t.Request,
		Refused: m.Refused, Searched: m.Searched, Codes: reasonCodes(),
	}
}

// newAudit has the API write to the audit log, where there is one.
func newAudit(l *audit.Log, m *telemetry.Metrics, cfg config.Audit) httpapi.Audit {
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
