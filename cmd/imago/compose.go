package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"go.uber.org/fx"

	"imago/adapters/apikey"
	"imago/adapters/certificate"
	"imago/adapters/console"
	"imago/adapters/httpapi"
	"imago/adapters/imaging"
	"imago/adapters/memstore"
	"imago/adapters/milvusstore"
	"imago/adapters/onnx"
	"imago/adapters/pgstore"
	"imago/adapters/telemetry"
	"imago/adapters/token"
	"imago/config"
	"imago/config/encryptionkey"
	"imago/core/calibration"
	"imago/core/expiry"
	"imago/core/extraction"
	"imago/core/facechip"
	"imago/core/gallery"
	"imago/core/naming"
	"imago/core/quality"
	"imago/core/vectorstore"
	"imago/ports"
)

// options composes the application behind the API.
func options(cfg config.Config, models onnx.Models, log *slog.Logger) fx.Option {
	return fx.Options(
		pipeline(cfg, models, log),
		observability(cfg),
		fx.Supply(cfg, cfg.Server, cfg.Server.TLS, cfg.Auth, cfg.Token, cfg.Search, cfg.Collections, cfg.Console,
			console.Description(httpapi.OpenAPI(cfg.Collections)), apikey.EnvironmentKey(os.Getenv("IMAGO_API_KEY"))),
		apikey.Module, certificate.Module, token.Module, console.Module, httpapi.Module,
		fx.Provide(
			newChecks, newDetect,
			func(k *apikey.Keyring) httpapi.Keys { return k },
			func(o *token.Opener) httpapi.Tokens {
				return httpapi.Tokens{Opener: o, RequiredInInventory: cfg.Token.RequireInInventory}
			},
			func(p console.Pages) httpapi.Console { return httpapi.Console(p) },
			func(g *gallery.Gallery) httpapi.Gallery { return g },
			func(x *extraction.Extractor) httpapi.ReserveFunc { return x.Reserve },
		),
		fx.Invoke(checkUserIDsOnStart, eraseExpired),
	)
}

// pipeline composes the gallery with all that is below it.
func pipeline(cfg config.Config, models onnx.Models, log *slog.Logger) fx.Option {
	return fx.Options(
		extractor(cfg, models, log),
		storeModule(cfg),
		fx.Provide(ports.Embedder.Space, func(x *extraction.Extractor, s ports.VectorStore) (*gallery.Gallery, error) {
			o := galleryOptions(cfg, models.Embedder.Manifest)
			chips, err := chipCipher(cfg.Chips)
			if chips != nil {
				o.Chips = chips
			}
			return gallery.New(x, s, o), err
		}),
	)
}

// extractor composes what turns pictures into vectors.
func extractor(cfg config.Config, models onnx.Models, log *slog.Logger) fx.Option {
	return fx.Options(
		fx.Supply(cfg.Server.Limits, cfg.Inference, cfg.Quality, models, log),
		imaging.Module, onnx.Module, fx.Provide(newExtractor),
	)
}

// chipCipher returns the cipher of the configured keys, nil where there are none.
func chipCipher(cfg config.Chips) (*facechip.Cipher, error) {
	keys, err := encryptionkey.Read("chips", cfg.KeyFile, cfg.Key.Reveal())
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	var others [][32]byte
	for _, k := range keys[1:] {
		others = append(others, k)
	}
	return facechip.New(keys[0], others...), nil
}

// storeModule provides the store of the configured driver.
func storeModule(cfg config.Config) fx.Option {
	retention := retentionOf(cfg)
	switch s := cfg.Store; s.Driver {
	case "memory":
		return storeOf("memstore", s.Memory, retention, memstore.Module)
	case "pgvector":
		return storeOf("pgstore", s.PGVector, retention, pgstore.Module)
	case "milvus":
		return storeOf("milvusstore", s.Milvus, retention, milvusstore.Module)
	}
	return fx.Error(fmt.Errorf("store.driver: unknown driver %q", cfg.Store.Driver))
}

// storeOf makes a ports.VectorStore, opened and closed with the application, of the
// driver that a module provides.
func storeOf(name string, settings any, retention vectorstore.Retention, module fx.Option) fx.Option {
	return fx.Options(fx.Supply(settings), module, fx.Provide(
		func(lc fx.Lifecycle, driver ports.StoreDriver, space ports.Space, log *slog.Logger) *vectorstore.Store {
			s := vectorstore.New(name, driver, space)
			s.LogOutages(log)
			s.Retain(retention)
			lc.Append(fx.StartStopHook(s.Start, s.Close))
			return s
		},
		func(s *vectorstore.Store) ports.VectorStore { return s }))
}

// retentionOf returns how long users are kept.
func retentionOf(cfg config.Config) vectorstore.Retention {
	r := vectorstore.Retention{After: map[string]time.Duration{naming.Inventory: time.Duration(cfg.Inventory.Retention)}}
	for _, c := range cfg.Collections {
		r.After[c.Name] = time.Duration(c.Retention)
	}
	return r
}

// eraseExpired erases expired users while the application runs.
func eraseExpired(lc fx.Lifecycle, cfg config.Config, store *vectorstore.Store, audit httpapi.Audit, m *telemetry.Metrics, log *slog.Logger) {
	s := expiry.New(store, expiry.Options{
		Collections: collectionNames(cfg), Within: cfg.Expiry.EraseWithin,
		Audit: audit.Write, Required: audit.Required, Erased: m.UsersExpired,
	}, log)
	lc.Append(fx.StartStopHook(s.Start, s.Close))
}

func newExtractor(decoder ports.Decoder, detector ports.Detector, embedder ports.Embedder, cfg config.Inference, q config.Quality) *extraction.Extractor {
	return extraction.New(decoder, detector, embedder, extraction.Options{
		Workers: cmp.Or(cfg.Workers, runtime.GOMAXPROCS(0)), Queue: cfg.Queue, DetectSizes: cfg.DetectSizes, Refine: cfg.Refine,
		SmallestFace: float64(q.MinFaceWidth),
		ThreadTime:   threadTime, Spent: httpapi.Spend,
	})
}

// raiseGOMAXPROCS doubles GOMAXPROCS unless it is set. A goroutine that spends more
// than 20 µs in C code (a network run) releases its P and must acquire one when it
// returns: with one P per core, four clients got 6 % fewer searches a second (two
// cores, pairs of runs of `imago bench`). Whatever is sized by the number of cores
// must be created before.
func raiseGOMAXPROCS() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
}

func galleryOptions(cfg config.Config, embedder config.Manifest) gallery.Options {
	c := embedder.Calibration
	measured := gallery.Measurement{Model: embedder.Name, Basis: c.Basis, Provisional: c.Provisional}
	for _, r := range c.FMR {
		measured.Rates = append(measured.Rates, calibration.Point(r))
	}
	return gallery.Options{
		Lists: listsOf(cfg), Retention: time.Duration(cfg.Inventory.Retention), KeepChips: cfg.Inventory.KeepChips,
		Threshold: cfg.Search.Threshold,
		Guards:    gallery.Guards{Unique: cfg.Inventory.Unique, Screen: cfg.Inventory.Screen, SamePerson: cfg.Inventory.SamePerson},
		Curve:     calibration.Curve{Midpoint: c.Midpoint, Steepness: c.Steepness}, Measured: measured, Gate: gate(cfg.Quality),
	}
}

// keepsChips returns which collections of a configuration keep chips.
func keepsChips(cfg config.Config) func(collection string) bool {
	keeps := map[string]bool{naming.Inventory: cfg.Inventory.KeepChips}
	for _, c := range cfg.Collections {
		keeps[c.Name] = c.KeepChips
	}
	return func(collection string) bool { return keeps[collection] }
}

// listsOf returns the lists of a configuration.
func listsOf(cfg config.Config) (lists []gallery.Collection) {
	for _, c := range cfg.Collections {
		lists = append(lists, gallery.Collection{
			Name: c.Name, Shared: c.Shared, Retention: time.Duration(c.Retention), KeepChips: c.KeepChips, Threshold: cmp.Or(c.Threshold, cfg.Search.Threshold),
			Guards: gallery.Guards{Unique: c.Unique, Screen: c.Screen, SamePerson: cmp.Or(c.SamePerson, cfg.Inventory.SamePerson)},
		})
	}
	return lists
}

// gate returns the quality gate. That a picture shows one person is part of the
// API's contract and holds even where the gate is off.
func gate(q config.Quality) quality.Gate {
	if !q.Enabled {
		return quality.Gate{SecondFaceRatio: q.SecondFaceRatio}
	}
	return quality.Gate{
		MinFaceWidth: float64(q.MinFaceWidth), MinScore: q.MinScore, MinSharpness: q.MinSharpness,
		MinBrightness: q.MinBrightness, MaxBrightness: q.MaxBrightness, MinContrast: q.MinContrast,
		MaxYaw: q.MaxYaw, MaxPitch: q.MaxPitch, MaxRoll: q.MaxRoll, MinUprightMargin: q.MinUprightMargin,
		MinProportion: q.MinProportion, MaxProportion: q.MaxProportion, SecondFaceRatio: q.SecondFaceRatio,
	}
}

// newDetect returns the detection of faces, with the quality gate of enrolments.
func newDetect(x *extraction.Extractor, cfg config.Config) httpapi.DetectFunc {
	g := gate(cfg.Quality)
	return func(ctx context.Context, picture []byte) (extraction.Detection, error) {
		return x.Detect(ctx, picture, g)
	}
}

// newChecks returns what decides about readiness. An audit log that must be written is
// part of it: without it every request is refused.
func newChecks(store ports.VectorStore, log *watchedAudit, cfg config.Audit) httpapi.Checks {
	checks := httpapi.Checks{}
	if c, ok := store.(ports.HealthChecker); ok {
		checks["store"] = c
	}
	if cfg.Required {
		checks["audit"] = log
	}
	return checks
}
