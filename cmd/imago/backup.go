package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imago/adapters/memstore"
	"imago/cmd/imago/cli"
	"imago/ports"
)

func backupCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the file of a memory store while imago runs",
		Long: "Copies the file of a memory store to FILE as it is at one moment, while a running imago\n" +
			"goes on, and then reads every face of the copy and verifies its checksum. FILE appears\n" +
			"when that is done. Only its owner can read it; encrypted vectors stay encrypted, with\n" +
			"the same keys. An existing FILE is never replaced.\n\n" +
			"For PostgreSQL use pg_dump, for Milvus milvus-backup or `imago export`.",
		Example: "  imago backup --config config/memory.yaml backup.db\n" +
			"  imago backup \"/backups/imago-$(date +%F).db\"",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return backUp(cmd, args[0], format) },
		ValidArgsFunction: cli.FirstArgument(cli.Files("db")),
	}
	cli.FormatFlag(cmd, &format)
	return cmd
}

// backupResult is the result in JSON.
type backupResult struct {
	File        string             `json:"file"`
	Faces       int                `json:"faces"`
	Collections []backupCollection `json:"collections"`
}

// backupCollection is what is in a backup of one collection.
type backupCollection struct {
	Collection string `json:"collection"`
	Users      int    `json:"users"`
	Faces      int    `json:"faces"`
}

func backUp(cmd *cobra.Command, path, format string) error {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	switch cfg.Store.Driver {
	case "pgvector":
		return cli.Usagef("imago backup copies the file of a memory store, and store.driver is pgvector: use pg_dump, or imago export")
	case "milvus":
		return cli.Usagef("imago backup copies the file of a memory store, and store.driver is milvus: use milvus-backup, or imago export")
	}
	if path == "" || path == standardIO {
		return cli.Usagef("name a FILE: a database cannot be written to a pipe")
	}
	access, err := accessStore(cfg)
	if err == nil {
		err = access.mustExist()
	}
	if err != nil {
		return err
	}
	trail, err := startAudit(cmd, cfg.Audit, operation{name: auditBackup})
	if err != nil {
		return err
	}
	result, err := backUpTo(cmd.Context(), path, access)
	var all []affected
	for _, c := range result.Collections {
		all = append(all, affected{collection: c.Collection, faces: c.Faces})
	}
	if err == nil {
		err = cli.Print(cmd.OutOrStdout(), format, result, backupText(result))
	}
	return trail.finish(cmd.Context(), err, all...)
}

// backUpTo writes the backup and counts what is in it.
func backUpTo(ctx context.Context, path string, access storeAccess) (backupResult, error) {
	count := backupCounter{}
	for _, name := range access.names() {
		count.all = append(count.all, backupCollection{Collection: name})
	}
	faces, err := memstore.Backup(ctx, access.cfg.Store.Memory, access.space, path, count.add)
	switch {
	case errors.Is(err, fs.ErrExist):
		return backupResult{}, cli.Usagef("%v: a backup never replaces a file; name another one, or remove it", errors.Unwrap(err))
	case errors.Is(err, context.Canceled):
		return backupResult{}, fmt.Errorf("interrupted; nothing was backed up: %w", err)
	case err != nil:
		return backupResult{}, err
	}
	return backupResult{absolutePath(path), faces, count.all}, nil
}

// backupCounter counts users and faces. Records come in the order of their collections
// and users.
type backupCounter struct {
	all  []backupCollection
	last ports.UserKey
}

func (c *backupCounter) add(r ports.Record) {
	i := slices.IndexFunc(c.all, func(one backupCollection) bool { return one.Collection == r.Collection })
	if i < 0 { // a list that is no longer configured
		i = len(c.all)
		c.all = append(c.all, backupCollection{Collection: strings.Clone(r.Collection)})
	}
	c.all[i].Faces++
	if c.last.Collection != r.Collection || c.last.UserID != r.UserID {
		c.all[i].Users++
		c.last = ports.UserKey{Collection: strings.Clone(r.Collection), UserID: strings.Clone(r.UserID)}
	}
}

func backupText(r backupResult) string {
	var b strings.Builder
	for _, c := range r.Collections {
		fmt.Fprintf(&b, "%s: users %d, faces %d\n", c.Collection, c.Users, c.Faces)
	}
	fmt.Fprintf(&b, "%s: %d faces read back, every checksum verified\n", r.File, r.Faces)
	return b.String()
}
