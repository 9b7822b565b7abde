package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"imago/adapters/modelzoo"
	"imago/adapters/onnx"
	"imago/config"
	"imago/core/gallery"
	"imago/ports"
)

// closeTimeout bounds closing a store: writes that wait are finished first.
const closeTimeout = 30 * time.Second

// storeAccess is what a command needs of a configuration to get at its store.
type storeAccess struct {
	cfg   config.Config
	space ports.Space
	log   *slog.Logger
}

// accessStore prepares opening the store of a configuration. The networks need
// not be there: the manifest says what space the vectors are of.
func accessStore(cfg config.Config) (storeAccess, error) {
	if cfg.Store.Driver == "memory" && cfg.Store.Memory.Path == "" {
		return storeAccess{}, usageError{errors.New("store.memory.path is empty: faces that are kept in RAM only cannot be reached from outside the imago that serves them")}
	}
	log := quietLogger(cfg.Log)
	manifest, err := embedderManifest(cfg.Models)
	if err != nil {
		return storeAccess{}, err
	}
	embedder := onnx.NewEmbedder(onnx.NewRuntime(cfg.Inference, log), cfg.Inference, onnx.Model{Manifest: manifest})
	return storeAccess{cfg: cfg, space: embedder.Space(), log: log}, nil
}

// quietLogger keeps the ordinary messages of the parts off a command's output.
func quietLogger(cfg config.Log) *slog.Logger {
	cfg.Format = "text"
	if cfg.Level == "info" {
		cfg.Level = "warn"
	}
	return newLogger(cfg)
}

// embedderManifest returns the manifest of the configured embedder, whether or
// not its network file is there.
func embedderManifest(cfg config.Models) (config.Manifest, error) {
	zoo := modelzoo.New(cfg.Dir, config.BuiltinModels)
	entries, err := zoo.List()
	if err != nil {
		return config.Manifest{}, err
	}
	for _, e := range entries {
		if e.Name != cfg.Embedder {
			continue
		}
		if e.Err == nil && e.Manifest.Kind != config.KindEmbedder {
			e.Err = usageError{fmt.Errorf("models.embedder: %s is a %s", e.Name, e.Manifest.Kind)}
		}
		return e.Manifest, e.Err
	}
	_, _, err = zoo.Find(cfg.Embedder)
	return config.Manifest{}, err
}

// names returns the names of the configured collections, the inventory first.
func (a storeAccess) names() []string { return collectionNames(a.cfg) }

func collectionNames(cfg config.Config) []string {
	names := []string{gallery.Inventory}
	for _, c := range cfg.Collections {
		names = append(names, c.Name)
	}
	return names
}

// mustExist refuses a store that opening would create: reading from it would
// find nothing, which is most likely a misspelt path.
func (a storeAccess) mustExist() error {
	if a.cfg.Store.Driver != "memory" {
		return nil
	}
	path := a.cfg.Store.Memory.Path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if absolute, err := filepath.Abs(path); err == nil {
			path = absolute
		}
		return usageError{fmt.Errorf("store.memory.path: there is no file %s", path)}
	}
	return nil
}

// open opens the store by itself. What it returns closes it again.
func (a storeAccess) open(ctx context.Context) (ports.VectorStore, func() error, error) {
	var store ports.VectorStore
	app := fx.New(
		fx.WithLogger(func() fxevent.Logger { return fxevent.NopLogger }),
		fx.Supply(a.space, a.log),
		storeModule(a.cfg.Store),
		fx.Populate(&store),
	)
	closer, err := startApp(ctx, app)
	return store, closer, err
}

// startApp starts an application that a command uses for a while. What it
// returns stops it, also when the command's context has ended.
func startApp(ctx context.Context, app *fx.App) (stop func() error, err error) {
	if err := app.Err(); err != nil {
		return nil, dig.RootCause(err)
	}
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := app.Start(starting); err != nil {
		return nil, err
	}
	return func() error {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		return app.Stop(stopping)
	}, nil
}

// repeatable says of an error that ended a long command what is known of it: the
// command may be repeated.
func repeatable(err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted; run the same command again to go on: %w", err)
	}
	if errors.Is(err, ports.ErrUnavailable) {
		return fmt.Errorf("%w; run the same command again to go on when the store answers", err)
	}
	return err
}
