package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"imago/config"
	"imago/core/gallery"
	"imago/ports"
)

// censusLimit bounds how long a start waits for the IDs of a store.
const censusLimit = time.Minute

// censusOnStart has the start refuse a configuration that makes users unreachable, and
// tell of those whom an earlier one has left behind.
func censusOnStart(lc fx.Lifecycle, cfg config.Config, store ports.VectorStore, log *slog.Logger) {
	lc.Append(fx.StartHook(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, censusLimit)
		defer cancel()
		census, err := takeCensus(ctx, cfg, store)
		for _, warning := range census.Warnings(false) {
			log.Warn(warning + "; imago check names them")
		}
		if refusal := census.Err(); refusal != nil {
			return refusal
		}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ports.ErrUnavailable) {
			log.Warn("not all user IDs were looked at; imago check looks at all", "error", err)
			return nil
		}
		return err
	}))
}

// takeCensus looks at every user of the configured collections. What it found is valid,
// as far as it goes, with an error too.
func takeCensus(ctx context.Context, cfg config.Config, store ports.VectorStore) (*gallery.Census, error) {
	census := gallery.NewCensus(listsOf(cfg))
	for _, name := range collectionNames(cfg) {
		selection := ports.Selection{Collection: name, Owners: ports.Everybody(), WithoutVectors: true}
		for r, err := range store.Scan(ctx, selection) {
			if err != nil {
				return census, fmt.Errorf("looking at the user IDs of %s: %w", name, err)
			}
			census.Add(r)
		}
	}
	return census, nil
}
