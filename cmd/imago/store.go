package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"imago/adapters/modelzoo"
	"imago/adapters/onnx"
	"imago/cmd/imago/cli"
	"imago/config"
	"imago/core/naming"
	"imago/ports"
)

// storeAccess is what a command needs of a configuration to open its store.
type storeAccess struct {
	cfg      config.Config
	embedder config.Manifest
	space    ports.Space
	log      *slog.Logger
	flag     string // what names the configuration, "" for --config
}

// configuredStore is accessStore for the configuration that the command line names.
func configuredStore(cmd *cobra.Command) (storeAccess, error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return storeAccess{}, err
	}
	return accessStore(cfg)
}

// existingStore is configuredStore for a store that must exist.
func existingStore(cmd *cobra.Command) (storeAccess, error) {
	a, err := configuredStore(cmd)
	if err == nil {
		err = a.mustExist()
	}
	return a, err
}

// accessStore prepares opening the store of a configuration. The networks need
// not be there: the manifest says what space the vectors are of.
func accessStore(cfg config.Config) (storeAccess, error) {
	if cfg.Store.Driver == "memory" && cfg.Store.Memory.Path == "" {
		return storeAccess{}, cli.Usagef("store.memory.path is empty: faces that are kept in RAM only cannot be reached from outside the imago that serves them")
	}
	cfg.Store.PGVector.Search = config.SearchDatabase // a command need not read all faces first
	log := quietLogger(cfg.Log)
	manifest, err := modelzoo.New(cfg.Models.Dir, config.BuiltinModels).Manifest(cfg.Models.Embedder)
	if err == nil && manifest.Kind != config.KindEmbedder {
		err = cli.Usagef("models.embedder: %s is a %s", manifest.Name, manifest.Kind)
	}
	if err != nil {
		return storeAccess{}, err
	}
	embedder := onnx.NewEmbedder(onnx.NewRuntime(cfg.Inference, log), cfg.Inference, onnx.Model{Manifest: manifest})
	return storeAccess{cfg: cfg, embedder: manifest, space: embedder.Space(), log: log}, nil
}

// quietLogger is newLogger without messages of level info.
func quietLogger(cfg config.Log) *slog.Logger {
	cfg.Format = "text"
	if cfg.Level == "info" {
		cfg.Level = "warn"
	}
	return newLogger(cfg)
}

// names returns the names of the configured collections, the inventory first.
func (a storeAccess) names() []string { return collectionNames(a.cfg) }

func collectionNames(cfg config.Config) []string {
	names := []string{naming.Inventory}
	for _, c := range cfg.Collections {
		names = append(names, c.Name)
	}
	return names
}

// mustExist returns an error if opening the store would create it: most likely the path
// is misspelt.
func (a storeAccess) mustExist() error {
	if a.cfg.Store.Driver != "memory" {
		return nil
	}
	path := a.cfg.Store.Memory.Path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return cli.Usagef("store.memory.path: there is no file %s", absolutePath(path))
	}
	return nil
}

// use opens the store, calls do with it, and closes it.
func (a storeAccess) use(ctx context.Context, do func(ports.VectorStore) error) error {
	var store ports.VectorStore
	parts := fx.Options(fx.Supply(a.space, a.log), storeModule(a.cfg), fx.Populate(&store))
	app, err := start(ctx, parts)
	if err != nil && a.flag != "" {
		return fmt.Errorf("%s: %w", a.flag, err)
	}
	if err != nil {
		return err
	}
	return errors.Join(do(store), stop(ctx, app, closeTimeout))
}

// retryHint adds to an error that the command can be run again to go on, where that is
// so.
func retryHint(err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted; run the same command again to go on: %w", err)
	}
	if errors.Is(err, ports.ErrUnavailable) {
		return fmt.Errorf("%w; run the same command again to go on when the store answers", err)
	}
	return err
}
