package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"imago/adapters/apikey"
	"imago/adapters/certificate"
	"imago/adapters/console"
	"imago/adapters/httpapi"
	"imago/adapters/imaging"
	"imago/adapters/memstore"
	"imago/adapters/milvusstore"
	"imago/adapters/onnx"
	"imago/adapters/pgstore"
	"imago/config"
	"imago/core/calibration"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/ports"
)

// options composes the application behind the API.
func options(cfg config.Config, models onnx.Models, log *slog.Logger) fx.Option {
	return fx.Options(
		pipeline(cfg, models, log),
		tokens(cfg),
		observability(cfg),
		fx.Supply(cfg, cfg.Server, cfg.Server.TLS, cfg.Auth, cfg.Search, cfg.Collections, cfg.Console, console.Description(httpapi.OpenAPI()),
			apikey.EnvironmentKey(os.Getenv("IMAGO_API_KEY"))),
		apikey.Module, certificate.Module, console.Module, httpapi.Module,
		fx.Provide(
			newChecks, newDetect,
			func(k *apikey.Keyring) httpapi.Authenticator { return k },
			func(p console.Pages) httpapi.Console { return httpapi.Console(p) },
			func(g *gallery.Gallery) httpapi.Gallery { return g },
			func(x *extraction.Extractor) httpapi.ReserveFunc { return x.Reserve },
			func(k *apikey.Keyring) httpapi.ChargeFunc { return k.Charge },
		),
		fx.Invoke(censusOnStart),
	)
}

// pipeline composes the gallery with all that is below it: what turns pictures
// into vectors, and the one store that the driver names. It is the only place
// where these parts meet.
func pipeline(cfg config.Config, models onnx.Models, log *slog.Logger) fx.Option {
	return fx.Options(
		fx.WithLogger(func() fxevent.Logger { return fxevent.NopLogger }),
		fx.Supply(cfg.Server.Limits, cfg.Inference, cfg.Quality, models, log),
		imaging.Module, onnx.Module,
		storeModule(cfg.Store),
		fx.Provide(
			func(e ports.Embedder) ports.Space { return e.Space() },
			newExtractor,
			func(x *extraction.Extractor, s ports.VectorStore) *gallery.Gallery {
				return gallery.New(x, s, galleryOptions(cfg, models.Embedder.Manifest))
			},
		),
	)
}

// storeModule returns the module of the configured driver.
func storeModule(cfg config.Store) fx.Option {
	switch cfg.Driver {
	case "memory":
		return fx.Options(fx.Supply(cfg.Memory), memstore.Module)
	case "pgvector":
		return fx.Options(fx.Supply(cfg.PGVector), pgstore.Module)
	case "milvus":
		return fx.Options(fx.Supply(cfg.Milvus), milvusstore.Module)
	}
	return fx.Error(fmt.Errorf("store.driver: this imago has no %s store", cfg.Driver))
}

func newExtractor(decoder ports.Decoder, detector ports.Detector, embedder ports.Embedder, cfg config.Inference, q config.Quality) *extraction.Extractor {
	workers := cfg.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return extraction.New(decoder, detector, embedder, extraction.Options{
		Workers: workers, Queue: cfg.Queue, DetectSizes: cfg.DetectSizes, Refine: cfg.Refine,
		SmallestFace: float64(q.MinFaceWidth),
		ThreadTime:   threadTime, Spent: httpapi.Spend,
	})
}

// allowOverlap has twice as many threads run Go code as there are cores, unless
// GOMAXPROCS is set. A goroutine that is in a network for more than 20 µs gives its
// place up, and waits for one when it comes back: with as many places as cores four
// clients got 6 % fewer searches a second (two cores, pairs of runs of `imago bench`).
// What is sized by the number of cores has to be before.
func allowOverlap() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
}

func galleryOptions(cfg config.Config, embedder config.Manifest) gallery.Options {
	o := gallery.Options{
		Curve:    calibration.Curve{Midpoint: embedder.Calibration.Midpoint, Steepness: embedder.Calibration.Steepness},
		Measured: measurement(embedder),
		Gate:     gate(cfg.Quality),
	}
	o.Lists = listsOf(cfg)
	return o
}

// listsOf returns the lists of a configuration.
func listsOf(cfg config.Config) (lists []gallery.Collection) {
	for _, c := range cfg.Collections {
		lists = append(lists, gallery.Collection{Name: c.Name, Shared: c.Shared})
	}
	return lists
}

// measurement returns what the manifest of an embedder says of its error rates.
func measurement(embedder config.Manifest) gallery.Measurement {
	c := embedder.Calibration
	m := gallery.Measurement{Model: embedder.Name, Basis: c.Basis, Provisional: c.Provisional}
	for _, r := range c.FMR {
		m.Rates = append(m.Rates, calibration.Point{Cosine: r.Cosine, Rate: r.Rate})
	}
	return m
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

// newDetect answers which faces a picture shows, judged by the gate of the
// enrolments.
func newDetect(x *extraction.Extractor, cfg config.Config) httpapi.DetectFunc {
	g := gate(cfg.Quality)
	return func(ctx context.Context, picture []byte) (ports.Detection, error) { return x.Detect(ctx, picture, g) }
}

func newChecks(store ports.VectorStore) httpapi.Checks {
	checks := httpapi.Checks{}
	if c, ok := store.(ports.HealthChecker); ok {
		checks["store"] = c
	}
	return checks
}
