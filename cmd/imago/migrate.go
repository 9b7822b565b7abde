package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"imago/config"
	"imago/core/gallery"
	"imago/core/retry"
	"imago/core/transfer"
	"imago/ports"
)

// The beginnings of environment variables that hold for one side of a migration.
const (
	fromPrefix   = "IMAGO_FROM_"
	toPrefix     = "IMAGO_TO_"
	commonPrefix = "IMAGO_"
)

func migrateCommand() *cobra.Command {
	var from, to string
	var workers int
	var format string
	cmd := &cobra.Command{
		Use:   "migrate --from FILE --to FILE",
		Short: "Copy the gallery from one store to another",
		Long: "Copies the collections of one configuration's store to the other's, between any\n" +
			"two backends, and then reads both to prove by counts and checksums that they hold\n" +
			"the same. Only what is missing is written, so the command can be repeated after an\n" +
			"interruption, or once more after a first pass while imago still serves a network\n" +
			"store. Nothing in the target is changed or removed; what stands against the copy is\n" +
			"reported.\n\n" +
			"Both configurations must name the same embedder. Environment variables hold for\n" +
			"both sides; IMAGO_FROM_… and IMAGO_TO_… instead of IMAGO_… hold for one of them,\n" +
			"as in IMAGO_TO_STORE_PGVECTOR_DSN.\n\n" +
			"Exit code 0 means that both stores hold the same, 1 that they do not, 4 that a store\n" +
			"does not answer.",
		Example: "  imago migrate --from config/memory.yaml --to config/pgvector.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || to == "" {
				return usageError{errors.New("--from and --to are required")}
			}
			if err := checkWorkers(workers); err != nil {
				return err
			}
			a, b, err := accessBoth(from, to)
			if err != nil {
				return err
			}
			return migrate(cmd, a, b, workers, format)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "configuration file of the store to copy")
	cmd.Flags().StringVar(&to, "to", "", "configuration file of the store to fill")
	addWorkersFlag(cmd, &workers)
	formatFlag(cmd, &format)
	completeFlag(cmd, "from", filesWith("yaml", "yml"))
	completeFlag(cmd, "to", filesWith("yaml", "yml"))
	return cmd
}

func accessBoth(from, to string) (a, b storeAccess, err error) {
	if a, err = accessSide(from, fromPrefix, toPrefix); err != nil {
		return a, b, fmt.Errorf("--from: %w", err)
	}
	if b, err = accessSide(to, toPrefix, fromPrefix); err != nil {
		return a, b, fmt.Errorf("--to: %w", err)
	}
	if a.space.ID() != b.space.ID() {
		return a, b, fmt.Errorf("%w: --from has %s, --to has %s", ports.ErrSpaceMismatch, a.space, b.space)
	}
	if sameStore(a.cfg.Store, b.cfg.Store) {
		return a, b, usageError{errors.New("--from and --to name the same store")}
	}
	return a, b, a.mustExist()
}

func accessSide(path, own, other string) (storeAccess, error) {
	cfg, err := config.Load(path, sideEnvironment(os.Environ(), own, other))
	if err != nil {
		return storeAccess{}, usageError{err}
	}
	return accessStore(cfg)
}

// sideEnvironment returns the environment as it is for one side of a migration:
// its own variables replace the common ones, the other side's are left out.
func sideEnvironment(environ []string, own, other string) []string {
	values := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, own) && !strings.HasPrefix(name, other) {
			values[name] = value
		}
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if rest, ok := strings.CutPrefix(name, own); ok {
			values[commonPrefix+rest] = value
		}
	}
	side := make([]string, 0, len(values))
	for name, value := range values {
		side = append(side, name+"="+value)
	}
	return side
}

// sameStore reports whether two configurations lead to the same data.
func sameStore(a, b config.Store) bool {
	if a.Driver != b.Driver {
		return false
	}
	switch a.Driver {
	case "memory":
		return absolute(a.Memory.Path) == absolute(b.Memory.Path)
	case "pgvector":
		return a.PGVector.DSN == b.PGVector.DSN && a.PGVector.Schema == b.PGVector.Schema
	case "milvus":
		return a.Milvus.Address == b.Milvus.Address && a.Milvus.Database == b.Milvus.Database && a.Milvus.Collection == b.Milvus.Collection
	}
	return false
}

func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func migrate(cmd *cobra.Command, a, b storeAccess, workers int, format string) (err error) {
	ctx := cmd.Context()
	from, closeFrom, err := a.open(ctx)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, closeFrom()) }()
	to, closeTo, err := b.open(ctx)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, closeTo()) }()

	report, err := copyAudited(cmd, a, b, from, to, workers)
	complain(cmd.ErrOrStderr(), report, b.names())
	if format == "text" {
		err = errors.Join(err, printOutcomes(cmd.OutOrStdout(), report))
	}
	var sums []transfer.Sum
	if err == nil {
		sums, err = verifyAll(ctx, from, to, a.names())
	}
	return errors.Join(repeatable(err), printMigration(cmd.OutOrStdout(), report, sums, format))
}

// printMigration prints what the verification has found, and in JSON everything.
func printMigration(out io.Writer, report transfer.Report, sums []transfer.Sum, format string) error {
	switch {
	case format == "json":
		return printJSON(out, transferResult{outcomes(report), sumResults(sums)})
	case len(sums) == 0:
		return nil
	}
	if _, err := fmt.Fprintln(out, "verified, both sides:"); err != nil {
		return err
	}
	return printSums(out, sums, format)
}

// copyAudited copies, and has both sides' audit logs tell of it.
func copyAudited(cmd *cobra.Command, a, b storeAccess, from, to ports.VectorStore, workers int) (transfer.Report, error) {
	ctx := cmd.Context()
	out, err := beginTrail(ctx, a.cfg.Audit, trailMigrateOut, "", cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	in, err := beginTrail(ctx, b.cfg.Audit, trailMigrateIn, "", cmd.ErrOrStderr())
	if err != nil {
		return nil, errors.Join(err, out.conclude(ctx, nil, err))
	}
	report, err := copyAll(ctx, from, to, a.names(), gallery.Admission(listsOf(b.cfg), ""), workers)
	var all []touched
	for _, o := range report {
		all = append(all, touched{collection: o.Collection, faces: o.Faces})
	}
	return report, errors.Join(err, out.conclude(ctx, all, err), in.conclude(ctx, written(report), err))
}

func copyAll(ctx context.Context, from, to ports.VectorStore, names []string, admit func([]ports.Record) string, workers int) (transfer.Report, error) {
	bar := newProgress("copy")
	defer bar.close()
	return transfer.Copy(ctx, from, to, names, transfer.Options{Workers: workers, Admit: admit, Progress: bar.show, Retry: retry.Default})
}

func verifyAll(ctx context.Context, from, to ports.VectorStore, names []string) ([]transfer.Sum, error) {
	bar := newProgress("verify")
	defer bar.close()
	return transfer.Verify(ctx, from, to, names, transfer.Options{Progress: bar.show, Retry: retry.Default})
}
