package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"imago/config"
	"imago/config/regularfile"
	"imago/core/gallery"
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
		Long: "Adds what `imago export` wrote to the store, - reads it from standard input. A\n" +
			"FILE is checked to its end before anything is written. Faces that are there are\n" +
			"passed over, so the command can be repeated after an interruption, and nothing in\n" +
			"the store is changed or removed: a user who has other faces than in the file is\n" +
			"left alone and reported as a conflict, and so is one whose ID the API would not take.\n" +
			"In the end the store is read again to prove that it holds everything.\n\n" +
			"Of a shared list only the client that enrolled a user sees and unenrols it. Users who\n" +
			"have no owner there, or several, are conflicts too, unless --owner names the client\n" +
			"that gets them.\n\n" +
			"Exit code 0 means that all faces of the file are in the store, 3 that it was done\n" +
			"but for conflicts, 4 that the store does not answer.",
		Example: "  imago import --config config/pgvector.yaml gallery.jsonl\n" +
			"  zstd -dc gallery.jsonl.zst | imago import --config config/milvus.yaml -",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return importFrom(cmd, args[0], owner, workers, format) },
		ValidArgsFunction: first(filesWith("jsonl")),
	}
	cmd.Flags().StringVar(&owner, "owner", "", "API client that gets users of shared lists who have no owner or several")
	formatFlag(cmd, &format)
	addWorkersFlag(cmd, &workers)
	return cmd
}

// addWorkersFlag adds the flag of the commands that write to a store.
func addWorkersFlag(cmd *cobra.Command, workers *int) {
	cmd.Flags().IntVar(workers, "workers", transfer.DefaultWorkers, "users written at once")
}

func checkWorkers(workers int) error {
	if workers < 1 || workers > 1024 {
		return usageError{errors.New("--workers must be 1 to 1024")}
	}
	return nil
}

// checkOwner refuses a name that no key can have.
func checkOwner(cmd *cobra.Command, owner string) error {
	if !cmd.Flags().Changed("owner") {
		return nil
	}
	everything := []string{config.All}
	key := config.Key{Name: owner, SHA256: strings.Repeat("0", 64), Collections: everything, Operations: everything}
	if key.Check() != nil {
		return usageError{errors.New("--owner must be the name of an API client: 1 to 64 of A-Z, a-z, 0-9, ., _ and -")}
	}
	return nil
}

func importFrom(cmd *cobra.Command, path, owner string, workers int, format string) (err error) {
	if err := checkWorkers(workers); err != nil {
		return err
	}
	if err := checkOwner(cmd, owner); err != nil {
		return err
	}
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	access, err := accessStore(cfg)
	if err != nil {
		return err
	}
	source, users, err := openImport(cmd.Context(), path, access.space)
	if err != nil {
		return err
	}
	defer source.Close()
	store, closeStore, err := access.open(cmd.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	trail, err := beginTrail(cmd.Context(), cfg.Audit, trailImport, "", cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	report, err := importAll(cmd.Context(), source, users, access, store, owner, workers)
	err = errors.Join(err, trail.conclude(cmd.Context(), written(report), err))
	complain(cmd.ErrOrStderr(), report, access.names())
	if printed := printReport(cmd.OutOrStdout(), report, format); printed != nil || err != nil {
		return errors.Join(repeatable(err), printed)
	}
	if n := report.Conflicts(); n > 0 {
		return partialError{fmt.Errorf("%d faces are in conflict with the store and were left out", n)}
	}
	return nil
}

// written is what an import or a migration has written.
func written(report transfer.Report) (all []touched) {
	for _, o := range report {
		all = append(all, touched{o.Collection, o.Added, o.Conflicts > 0})
	}
	return all
}

func importAll(ctx context.Context, source io.Reader, users int, access storeAccess, store ports.VectorStore, owner string, workers int) (transfer.Report, error) {
	bar := newProgress("import")
	defer bar.close()
	return transfer.Import(ctx, source, store, access.space, transfer.Options{
		Workers: workers, Retry: retry.Default, Admit: gallery.Admission(listsOf(access.cfg), owner),
		Progress: func(done, _ int) { bar.show(done, users) },
	})
}

// openImport opens what is to be imported and returns how many users are in it,
// 0 where that is not known. What can be read twice is checked before.
func openImport(ctx context.Context, path string, space ports.Space) (io.ReadCloser, int, error) {
	if path == standardStream {
		return interruptibly(ctx, os.Stdin), 0, nil
	}
	file, err := regularfile.Open(path)
	if errors.Is(err, regularfile.ErrNotRegular) {
		err = fmt.Errorf("%w; redirect it to -", err)
	}
	if err != nil {
		return nil, 0, usageError{err}
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

// interruptibly returns a stream that ends with ctx, also while somebody waits for
// input: a read from a pipe or a terminal is not ended by closing it. The goroutine
// that is left in such a read ends with the process.
func interruptibly(ctx context.Context, in io.Reader) io.ReadCloser {
	out, feed := io.Pipe()
	go func() {
		_, err := io.Copy(feed, in)
		feed.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { feed.CloseWithError(ctx.Err()) })
	return out
}
