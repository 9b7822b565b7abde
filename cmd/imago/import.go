package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"imago/cmd/imago/cli"
	"imago/config/regularfile"
	"imago/core/gallery"
	"imago/core/naming"
	"imago/core/retry"
	"imago/core/transfer"
	"imago/ports"
)

func importCommand() *cobra.Command {
	var workers int
	var owner, format string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Add the faces of an export to the gallery",
		Long: "Adds the faces of an export to the store; - reads standard input. A FILE is verified to\n" +
			"its end before anything is written. Existing faces are skipped, so the command can be\n" +
			"repeated after an interruption, and nothing in the store is changed or removed. A user\n" +
			"with other faces than in the file is reported as a conflict, and so is one whose ID the\n" +
			"API does not accept. In the end the store is read to verify that it holds everything.\n\n" +
			"Only the client that enrolled a user of a shared list sees and unenrols it. Users there\n" +
			"without an owner, or with several, are conflicts too, unless --owner names the client\n" +
			"that gets them.\n\n" +
			"Chips in the file are stored where the configuration keeps them (keep_chips).\n\n" +
			"Exit code 0 means that all faces of the file are in the store, 3 that there were\n" +
			"conflicts, 4 that the store does not answer.",
		Example: "  imago import --config config/pgvector.yaml gallery.jsonl\n" +
			"  zstd -dc gallery.jsonl.zst | imago import --config config/milvus.yaml -",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return importFrom(cmd, args[0], owner, workers, format) },
		ValidArgsFunction: cli.FirstArgument(cli.Files("jsonl")),
	}
	cmd.Flags().StringVar(&owner, "owner", "", "API client that gets users of shared lists who have no owner or several")
	cli.FormatFlag(cmd, &format)
	addWorkersFlag(cmd, &workers)
	return cmd
}

// addWorkersFlag adds the flag of the commands that write to a store.
func addWorkersFlag(cmd *cobra.Command, workers *int) {
	cmd.Flags().IntVar(workers, "workers", transfer.DefaultWorkers, "users written at a time")
}

// checkWorkers validates --workers; least is 0 where that means the default.
func checkWorkers(workers, least int) error {
	if workers < least || workers > 1024 {
		return cli.Usagef("--workers must be 1 to 1024")
	}
	return nil
}

func importFrom(cmd *cobra.Command, path, owner string, workers int, format string) error {
	if err := checkWorkers(workers, 1); err != nil {
		return err
	}
	if cmd.Flags().Changed("owner") && naming.CheckClient(owner) != nil {
		return cli.Usagef("--owner must be the name of an API client: 1 to 64 of A-Z, a-z, 0-9, ., _ and -")
	}
	access, err := configuredStore(cmd)
	if err != nil {
		return err
	}
	source, users, err := openImport(cmd.Context(), path, access.space)
	if err != nil {
		return err
	}
	defer source.Close()
	return access.use(cmd.Context(), func(store ports.VectorStore) error {
		trail, err := startAudit(cmd, access.cfg.Audit, operation{name: auditImport})
		if err != nil {
			return err
		}
		report, err := importAll(cmd.Context(), source, users, access, store, owner, workers)
		err = trail.finish(cmd.Context(), err, written(report)...)
		printConflicts(cmd.ErrOrStderr(), report, access.names())
		if printed := cli.Print(cmd.OutOrStdout(), format, transferResult{Collections: notNil(report)}, outcomesText(report)); printed != nil || err != nil {
			return errors.Join(retryHint(err), printed)
		}
		if n := report.Conflicts(); n > 0 {
			return cli.Partialf("%d faces are in conflict with the store and were left out", n)
		}
		return nil
	})
}

// written returns the faces written by an import or a migration.
func written(report transfer.Report) (all []affected) {
	for _, o := range report {
		all = append(all, affected{o.Collection, o.Added, o.Conflicts+o.LeftOut > 0})
	}
	return all
}

func importAll(ctx context.Context, source io.Reader, users int, access storeAccess, store ports.VectorStore, owner string, workers int) (transfer.Report, error) {
	bar := cli.NewProgress("import", "users")
	defer bar.Close()
	return transfer.Import(ctx, source, store, access.space, transfer.Options{
		Workers: workers, Retry: retry.Default, Reject: gallery.RejectUnreachable(listsOf(access.cfg), owner), Expired: retentionOf(access.cfg).Expired,
		KeepChips: keepsChips(access.cfg),
		Progress:  func(done, _ int) { bar.Show(done, users) },
	})
}

// openImport opens an export and returns the number of its users, 0 where that is not
// known. A file is checked to its end first.
func openImport(ctx context.Context, path string, space ports.Space) (io.ReadCloser, int, error) {
	if path == standardIO {
		return cancellableReader(ctx, os.Stdin), 0, nil
	}
	file, err := regularfile.Open(path)
	if errors.Is(err, regularfile.ErrNotRegular) {
		err = fmt.Errorf("%w; redirect it to -", err)
	}
	if err != nil {
		return nil, 0, cli.Usage(err)
	}
	contents, err := transfer.Inspect(ctx, file, space)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return file, contents.Users(), nil
}

// cancellableReader returns a stream that ends with ctx, also during a read. Closing a
// pipe or terminal does not end a read, so the goroutine in it lives until the process
// ends.
func cancellableReader(ctx context.Context, in io.Reader) io.ReadCloser {
	out, feed := io.Pipe()
	go func() {
		_, err := io.Copy(feed, in)
		feed.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { feed.CloseWithError(ctx.Err()) })
	return out
}
