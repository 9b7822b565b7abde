package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"imago/core/retry"
	"imago/core/transfer"
	"imago/ports"
)

func importCommand() *cobra.Command {
	var workers int
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Add the faces of an export to the gallery",
		Long: "Adds what `imago export` wrote to the store, - reads it from standard input. A\n" +
			"FILE is checked to its end before anything is written. Faces that are there are\n" +
			"passed over, so the command can be repeated after an interruption, and nothing in\n" +
			"the store is changed or removed: a user who has other faces than in the file is\n" +
			"left alone and reported as a conflict. In the end the store is read again to prove\n" +
			"that it holds everything.\n\n" +
			"Exit code 0 means that all faces of the file are in the store, 3 that it was done\n" +
			"but for conflicts, 1 that it failed.",
		Example: "  imago import --config config/pgvector.yaml gallery.jsonl\n" +
			"  zstd -dc gallery.jsonl.zst | imago import --config config/milvus.yaml -",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return importFrom(cmd, args[0], workers) },
	}
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

func importFrom(cmd *cobra.Command, path string, workers int) (err error) {
	if err := checkWorkers(workers); err != nil {
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

	report, err := importAll(cmd.Context(), source, users, access, store, workers)
	if printed := printReport(cmd, report, access.names()); printed != nil || err != nil {
		return errors.Join(repeatable(err), printed)
	}
	if n := report.Conflicts(); n > 0 {
		return partialError{fmt.Errorf("%d faces are in conflict with the store and were left out", n)}
	}
	return nil
}

func importAll(ctx context.Context, source io.Reader, users int, access storeAccess, store ports.VectorStore, workers int) (transfer.Report, error) {
	bar := newProgress("import")
	defer bar.close()
	return transfer.Import(ctx, source, store, access.space, transfer.Options{
		Workers: workers, Retry: retry.Default,
		Progress: func(done, _ int) { bar.show(done, users) },
	})
}

// openImport opens what is to be imported and returns how many users are in it,
// 0 where that is not known. What can be read twice is checked before.
func openImport(ctx context.Context, path string, space ports.Space) (*os.File, int, error) {
	if path == standardStream {
		// Closing the stream ends a read that waits for input.
		context.AfterFunc(ctx, func() { os.Stdin.Close() })
		return os.Stdin, 0, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, usageError{err}
	}
	contents, err := inspect(ctx, file, space)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return file, contents.Users(), nil
}

func inspect(ctx context.Context, file *os.File, space ports.Space) (transfer.Contents, error) {
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return transfer.Contents{}, usageError{errors.Join(err, errors.New("not a regular file; redirect it to -"))}
	}
	return transfer.Inspect(ctx, file, space)
}

// printReport prints what became of each collection, and the conflicts by name.
func printReport(cmd *cobra.Command, report transfer.Report, configured []string) error {
	for _, o := range report {
		line := fmt.Sprintf("%s: users %d, faces %d: %d added, %d there already, %d in conflict", o.Collection, o.Users, o.Faces, o.Added, o.Same, o.Conflicts)
		if o.Extra > 0 {
			line += fmt.Sprintf("; the target has %d other faces", o.Extra)
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
			return err
		}
		printConflicts(cmd.ErrOrStderr(), o)
		if !slices.Contains(configured, o.Collection) && o.Faces > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: the target's configuration has no collection %s: no request reaches it until it does\n", o.Collection)
		}
	}
	return nil
}

func printConflicts(w io.Writer, o transfer.Outcome) {
	for _, c := range o.Examples {
		fmt.Fprintf(w, "conflict in %s: user %q, face %q: %s\n", c.Collection, c.UserID, c.FaceID, c.Reason)
	}
	if more := o.Conflicts - len(o.Examples); more > 0 {
		fmt.Fprintf(w, "conflict in %s: %d more\n", o.Collection, more)
	}
}
