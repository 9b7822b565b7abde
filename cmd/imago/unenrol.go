package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"imago/core/gallery"
	"imago/ports"
)

func unenrolCommand() *cobra.Command {
	var collection string
	cmd := &cobra.Command{
		Use:   "unenrol USER",
		Short: "Remove a user from the gallery, whatever the ID and whoever enrolled it",
		Long: "Removes all faces of USER from a collection of the configured store, at once and for\n" +
			"good. It is for users whom no request reaches: those with the name of a list, those\n" +
			"with an ID that an earlier imago took, and those of shared lists who belong to no\n" +
			"client. USER is taken byte for byte, the collection need not be configured any more,\n" +
			"and the audit log has the operation as " + trailUnenrol + ". `imago check` names such users.\n\n" +
			"A memory store must not be in use by another imago.\n\n" +
			"Exit code 0 means that the user is gone, 1 that there is no such user, 4 that the\n" +
			"store does not answer.",
		Example: "  imago unenrol vip --config config/memory.yaml\n" +
			"  imago unenrol --collection blacklist -- \"$(printf 'Jose\\u0301')\"",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return unenrol(cmd, collection, args[0]) },
	}
	cmd.Flags().StringVar(&collection, "collection", gallery.Inventory, "collection to remove the user from")
	completeFlag(cmd, "collection", configuredCollections)
	return cmd
}

func unenrol(cmd *cobra.Command, collection, userID string) (err error) {
	if err := ports.ValidateUser(collection, userID); err != nil {
		return usageError{err}
	}
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	access, err := accessStore(cfg)
	if err != nil {
		return err
	}
	if err := access.mustExist(); err != nil {
		return err
	}
	store, closeStore, err := access.open(cmd.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	trail, err := beginTrailOf(cmd.Context(), cfg.Audit, trailUnenrol, collection, userID, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	faces, err := removeUser(cmd.Context(), store, collection, userID)
	var all []touched
	if err == nil {
		all = []touched{{collection: collection, faces: faces}}
	}
	if err = errors.Join(err, trail.conclude(cmd.Context(), all, err)); err != nil {
		return repeatable(err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed %+q from %s: %d faces\n", userID, collection, faces)
	return err
}

// removeUser removes a user whoever the owner is, and returns how many faces there were.
func removeUser(ctx context.Context, store ports.VectorStore, collection, userID string) (faces int, err error) {
	records, err := store.Get(ctx, collection, userID)
	if err == nil {
		err = store.Remove(ctx, collection, userID, "")
	}
	if errors.Is(err, ports.ErrNotFound) {
		return 0, fmt.Errorf("there is no user %+q in %s: %w", userID, collection, ports.ErrNotFound)
	}
	return len(records), err
}
