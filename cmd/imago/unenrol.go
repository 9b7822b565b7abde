package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"imago/cmd/imago/cli"
	"imago/core/naming"
	"imago/ports"
)

func unenrolCommand() *cobra.Command {
	var collection string
	cmd := &cobra.Command{
		Use:   "unenrol USER",
		Short: "Remove a user from the gallery, whatever the ID and whoever enrolled it",
		Long: "Removes all faces of USER from a collection of the configured store, permanently. It is\n" +
			"for users that no request reaches: with the name of a list, with an ID that an earlier\n" +
			"imago accepted, or in a shared list without an owner. USER is taken byte for byte, the\n" +
			"collection need not be configured, and the audit log has the operation as\n" +
			auditUnenrol + ". `imago check` names such users.\n\n" +
			"A memory store must not be in use by another imago.\n\n" +
			"Exit code 0 means that the user is removed, 1 that there is no such user, 4 that the\n" +
			"store does not answer.",
		Example: "  imago unenrol vip --config config/memory.yaml\n" +
			"  imago unenrol --collection blacklist -- \"$(printf 'Jose\\u0301')\"",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return unenrol(cmd, collection, args[0]) },
	}
	cmd.Flags().StringVar(&collection, "collection", naming.Inventory, "collection to remove the user from")
	cli.CompleteFlag(cmd, "collection", configuredCollections)
	return cmd
}

func unenrol(cmd *cobra.Command, collection, userID string) error {
	if err := naming.CheckCollection(collection); err != nil {
		return cli.Usage(err)
	}
	if err := naming.CheckID(userID); err != nil {
		return cli.Usagef("USER %w", err)
	}
	access, err := existingStore(cmd)
	if err != nil {
		return err
	}
	return access.use(cmd.Context(), func(store ports.VectorStore) error {
		trail, err := startAudit(cmd, access.cfg.Audit, operation{auditUnenrol, collection, userID})
		if err != nil {
			return err
		}
		faces, err := removeUser(cmd.Context(), store, collection, userID)
		if err != nil {
			return retryHint(trail.finish(cmd.Context(), err))
		}
		if err := trail.finish(cmd.Context(), nil, affected{collection: collection, faces: faces}); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed %+q from %s: %d faces\n", userID, collection, faces)
		return err
	})
}

// removeUser removes a user of any owner and returns the number of faces.
func removeUser(ctx context.Context, store ports.VectorStore, collection, userID string) (faces int, err error) {
	user := ports.UserKey{Collection: collection, UserID: userID}
	records, err := store.Get(ctx, user)
	if err == nil {
		err = store.Remove(ctx, ports.WholeUser(user), ports.Everybody())
	}
	if errors.Is(err, ports.ErrNotFound) {
		return 0, fmt.Errorf("there is no user %+q in %s: %w", userID, collection, ports.ErrNotFound)
	}
	return len(records), err
}
