package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"imago/cmd/imago/cli"
	"imago/config/regularfile"
	"imago/core/retry"
	"imago/core/transfer"
	"imago/ports"
)

// standardIO is the file name that stands for standard input or output.
const standardIO = "-"

func exportCommand() *cobra.Command {
	var format string
	var chips bool
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the gallery as JSON Lines",
		Long: "Writes all configured collections to FILE, or to standard output without FILE or for -.\n" +
			"FILE appears when it is complete, and only its owner can read it: it holds biometric\n" +
			"data. The last line has counts and checksums, by which `imago import` detects damage.\n" +
			"The network file of the embedder is not needed.\n\n" +
			"With --chips the encrypted chips of faces that have one (keep_chips) are in it too, for\n" +
			"`imago reembed` after an import. They make it some 30 times as large, and an earlier\n" +
			"imago refuses it.\n\n" +
			"A memory store must not be in use by a running imago. Concurrent writes to other stores\n" +
			"may or may not be in the file.",
		Example: "  imago export --config config/memory.yaml gallery.jsonl\n" +
			"  imago export --config config/pgvector.yaml - | zstd > gallery.jsonl.zst",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := standardIO
			if len(args) == 1 {
				path = args[0]
			} else if cli.Terminal(os.Stdout) {
				return cli.Usagef("name a FILE, or - to write to the terminal")
			}
			return exportTo(cmd, path, format, chips)
		},
		ValidArgsFunction: cli.FirstArgument(cli.Files("jsonl")),
	}
	cli.FormatFlag(cmd, &format)
	cmd.Flags().BoolVar(&chips, "chips", false, "write the encrypted chips of faces too")
	return cmd
}

func exportTo(cmd *cobra.Command, path, format string, chips bool) error {
	access, err := existingStore(cmd)
	if err != nil {
		return err
	}
	return access.use(cmd.Context(), func(store ports.VectorStore) error {
		trail, err := startAudit(cmd, access.cfg.Audit, operation{name: auditExport})
		if err != nil {
			return err
		}
		if !chips && slices.ContainsFunc(access.names(), keepsChips(access.cfg)) {
			fmt.Fprintln(cmd.ErrOrStderr(), "chips stay behind (keep_chips); --chips exports them")
		}
		sums, err := exportAll(cmd, path, format, access, store, chips)
		return trail.finish(cmd.Context(), err, exported(sums)...)
	})
}

// exported returns the faces read by an export.
func exported(sums []transfer.Sum) (all []affected) {
	for _, s := range sums {
		all = append(all, affected{collection: s.Collection, faces: s.Faces})
	}
	return all
}

// exportAll writes the export and prints what is in it.
func exportAll(cmd *cobra.Command, path, format string, access storeAccess, store ports.VectorStore, chips bool) (sums []transfer.Sum, err error) {
	write := func(w io.Writer) ([]transfer.Sum, error) { return export(cmd.Context(), w, access, store, chips) }
	if path == standardIO {
		sums, err := write(cmd.OutOrStdout())
		return sums, errors.Join(err, cli.Print(cmd.ErrOrStderr(), format, notNil(sums), sumsText(sums)))
	}
	err = writeFile(path, func(w io.Writer) (err error) {
		sums, err = write(w)
		return err
	})
	return sums, errors.Join(err, cli.Print(cmd.OutOrStdout(), format, notNil(sums), sumsText(sums)))
}

func export(ctx context.Context, w io.Writer, access storeAccess, store ports.VectorStore, chips bool) ([]transfer.Sum, error) {
	bar := cli.NewProgress("export", "users")
	defer bar.Close()
	o := transfer.Options{Progress: bar.Show, Retry: retry.Default}
	if chips {
		o.KeepChips = func(string) bool { return true }
	}
	sums, err := transfer.Export(ctx, w, store, access.space, access.names(), o)
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted; nothing was exported: %w", err)
	}
	return sums, err
}

// writeFile replaces a file that only the owner can read.
func writeFile(path string, write func(io.Writer) error) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return cli.Usagef("%s is not a regular file; write to - and redirect it", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return regularfile.Replace(path, 0o600, write)
}
