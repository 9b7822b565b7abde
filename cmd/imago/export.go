package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"imago/core/retry"
	"imago/core/transfer"
	"imago/ports"
)

// standardStream is the file name that stands for standard input or output.
const standardStream = "-"

func exportCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the gallery as JSON Lines",
		Long: "Writes all configured collections of the store to FILE, or to standard output\n" +
			"without one or for -. FILE appears when it is complete and is for the owner\n" +
			"alone: it holds biometric data. The last line has counts and checksums, by which\n" +
			"`imago import` knows a damaged file. The network of the vectors need not be there.\n\n" +
			"A memory store must not be in use by a running imago; of the others, what others\n" +
			"write meanwhile may or may not be in the file.",
		Example: "  imago export --config config/memory.yaml gallery.jsonl\n" +
			"  imago export --config config/pgvector.yaml - | zstd > gallery.jsonl.zst",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := standardStream
			if len(args) == 1 {
				path = args[0]
			} else if terminal(os.Stdout) {
				return usageError{errors.New("name a FILE, or - to write to the terminal")}
			}
			return exportTo(cmd, path, format)
		},
		ValidArgsFunction: first(filesWith("jsonl")),
	}
	formatFlag(cmd, &format)
	return cmd
}

func exportTo(cmd *cobra.Command, path, format string) (err error) {
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

	trail, err := beginTrail(cmd.Context(), cfg.Audit, trailExport, "", cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	sums, err := exportAll(cmd, path, format, access, store)
	return errors.Join(err, trail.conclude(cmd.Context(), read(sums), err))
}

// read is what an export has read.
func read(sums []transfer.Sum) (all []touched) {
	for _, s := range sums {
		all = append(all, touched{collection: s.Collection, faces: s.Faces})
	}
	return all
}

// exportAll writes the export and prints what is in it.
func exportAll(cmd *cobra.Command, path, format string, access storeAccess, store ports.VectorStore) (sums []transfer.Sum, err error) {
	write := func(w io.Writer) ([]transfer.Sum, error) { return export(cmd.Context(), w, access, store) }
	if path == standardStream {
		sums, err := write(cmd.OutOrStdout())
		return sums, errors.Join(err, printSums(cmd.ErrOrStderr(), sums, format))
	}
	err = writeFile(path, func(w io.Writer) (err error) {
		sums, err = write(w)
		return err
	})
	return sums, errors.Join(err, printSums(cmd.OutOrStdout(), sums, format))
}

func export(ctx context.Context, w io.Writer, access storeAccess, store ports.VectorStore) ([]transfer.Sum, error) {
	bar := newProgress("export")
	defer bar.close()
	sums, err := transfer.Export(ctx, w, store, access.space, access.names(), transfer.Options{
		Progress: bar.show, Retry: retry.Default,
	})
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted; there is no export: %w", err)
	}
	return sums, err
}

// writeFile writes a file that is there completely or not at all, readable for
// the owner alone. What it replaces stays until then.
func writeFile(path string, write func(io.Writer) error) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return usageError{fmt.Errorf("%s is not a regular file; write to - and redirect it", path)}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// CreateTemp makes files of mode 0600.
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
