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

// userIDsTimeout bounds how long a start waits for the IDs of a store.
const userIDsTimeout = time.Minute

// checkUserIDsOnStart makes the start fail where the configuration makes users
// unreachable, and logs those that an earlier configuration has left.
func checkUserIDsOnStart(lc fx.Lifecycle, cfg config.Config, store ports.VectorStore, log *slog.Logger) {
	log = log.With("component", "serve")
	lc.Append(fx.StartHook(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, userIDsTimeout)
		defer cancel()
		users, err := checkUserIDs(ctx, cfg, store)
		for _, warning := range users.Warnings(false) {
			log.Warn(warning + "; imago check names them")
		}
		if refusal := users.Err(); refusal != nil {
			return refusal
		}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ports.ErrUnavailable) {
			log.Warn("not all user IDs were checked in time: run imago check to check all", "error", err)
			return nil
		}
		return err
	}))
}

// checkUserIDs checks every user of the configured collections. With an error, the
// result covers what was read before it.
func checkUserIDs(ctx context.Context, cfg config.Config, store ports.VectorStore) (*gallery.UserCheck, error) {
	users := gallery.NewUserCheck(listsOf(cfg))
	for _, name := range collectionNames(cfg) {
		selection := ports.Selection{Collection: name, Owners: ports.Everybody(), WithoutVectors: true}
		for r, err := range store.Scan(ctx, selection) {
			if err != nil {
				return users, fmt.Errorf("checking the user IDs of %s: %w", name, err)
			}
			users.Add(r)
		}
	}
	return users, nil
}
