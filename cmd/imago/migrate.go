package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"imago/cmd/imago/cli"
	"imago/config"
	"imago/core/gallery"
	"imago/core/retry"
	"imago/core/transfer"
	"imago/ports"
)

// Prefixes of the environment variables of one side of a migration, and of both.
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
		Long: "Copies the collections from the store of one configuration to that of another, between\n" +
			"any two backends, then reads both to verify by counts and checksums that they are equal.\n" +
			"Only missing faces are written, so the command can be repeated after an interruption, or\n" +
			"once more after a first pass while imago still serves a network store. Nothing in the\n" +
			"target is changed or removed; conflicts are reported. Chips are copied with their faces\n" +
			"where the target keeps them (keep_chips).\n\n" +
			"Both configurations must name the same embedder. Environment variables apply to both\n" +
			"sides; IMAGO_FROM_… and IMAGO_TO_… in place of IMAGO_… apply to one, as in\n" +
			"IMAGO_TO_STORE_PGVECTOR_DSN.\n\n" +
			"Exit code 0 means that both stores are equal, 1 that they are not, 4 that a store does\n" +
			"not answer.",
		Example: "  imago migrate --from config/memory.yaml --to config/pgvector.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || to == "" {
				return cli.Usagef("--from and --to are required")
			}
			if err := checkWorkers(workers, 1); err != nil {
				return err
			}
			a, b, err := accessBoth(from, to, sameSpace)
			if err != nil {
				return err
			}
			return migrate(cmd, a, b, workers, format)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "configuration file of the store to copy")
	cmd.Flags().StringVar(&to, "to", "", "configuration file of the store to fill")
	addWorkersFlag(cmd, &workers)
	cli.FormatFlag(cmd, &format)
	cli.CompleteFlag(cmd, "from", cli.Files("yaml", "yml"))
	cli.CompleteFlag(cmd, "to", cli.Files("yaml", "yml"))
	return cmd
}

// accessBoth reads two configurations and checks that their spaces fit each other.
func accessBoth(from, to string, fits func(from, to ports.Space) error) (a, b storeAccess, err error) {
	if a, err = accessSide("--from", from, fromPrefix, toPrefix); err != nil {
		return a, b, err
	}
	if b, err = accessSide("--to", to, toPrefix, fromPrefix); err != nil {
		return a, b, err
	}
	if err := fits(a.space, b.space); err != nil {
		return a, b, err
	}
	if sameStore(a.cfg.Store, b.cfg.Store) {
		return a, b, cli.Usagef("--from and --to name the same store")
	}
	return a, b, a.mustExist()
}

// sameSpace returns an error if vectors of one space cannot be copied into the other.
func sameSpace(from, to ports.Space) error {
	if from.ID() == to.ID() {
		return nil
	}
	return fmt.Errorf("%w: --from has %s, --to has %s; where chips are kept (keep_chips), imago reembed carries the gallery over",
		ports.ErrSpaceMismatch, from, to)
}

func accessSide(flag, path, own, other string) (storeAccess, error) {
	cfg, err := config.Load(path, sideEnvironment(os.Environ(), own, other))
	if err != nil {
		return storeAccess{}, cli.Usagef("%s: %w", flag, err)
	}
	a, err := accessStore(cfg)
	if err != nil {
		return a, fmt.Errorf("%s: %w", flag, err)
	}
	a.flag = flag
	return a, nil
}

// sideEnvironment returns the environment of one side of a migration: its own
// variables replace the common ones, and the other side's are removed.
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
	same := map[string]bool{
		"memory":   absolutePath(a.Memory.Path) == absolutePath(b.Memory.Path),
		"pgvector": a.PGVector.DSN == b.PGVector.DSN && a.PGVector.Schema == b.PGVector.Schema,
		"milvus":   a.Milvus.Address == b.Milvus.Address && a.Milvus.Database == b.Milvus.Database && a.Milvus.Collection == b.Milvus.Collection,
	}
	return a.Driver == b.Driver && same[a.Driver]
}

func absolutePath(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func migrate(cmd *cobra.Command, a, b storeAccess, workers int, format string) error {
	for _, name := range a.names() {
		if keepsChips(a.cfg)(name) && !keepsChips(b.cfg)(name) {
			fmt.Fprintf(cmd.ErrOrStderr(), "chips of %s stay behind: --to does not keep them (keep_chips)\n", name)
		}
	}
	return a.use(cmd.Context(), func(from ports.VectorStore) error {
		return b.use(cmd.Context(), func(to ports.VectorStore) error {
			report, err := copyAudited(cmd, a, b, auditMigrateOut, auditMigrateIn, func(ctx context.Context, o transfer.Options) (transfer.Report, error) {
				o.Workers, o.KeepChips = workers, keepsChips(b.cfg)
				return copyAll(ctx, "copy", from, to, a.names(), o)
			})
			printConflicts(cmd.ErrOrStderr(), report, b.names())
			if format == "text" { // shown before the verification
				err = errors.Join(err, cli.Print(cmd.OutOrStdout(), format, nil, outcomesText(report)))
			}
			var sums []transfer.Sum
			verified := ""
			if err == nil {
				sums, err = verifyAll(cmd.Context(), b, from, to, a.names(), transfer.Options{})
			}
			if len(sums) > 0 {
				verified = "verified, both sides:\n" + sumsText(sums)
			}
			return errors.Join(retryHint(err), cli.Print(cmd.OutOrStdout(), format, transferResult{notNil(report), sums}, verified))
		})
	})
}

// copyAudited copies by the rules of the target, with entries in the audit logs of both sides.
func copyAudited(cmd *cobra.Command, a, b storeAccess, outName, inName string, do func(context.Context, transfer.Options) (transfer.Report, error)) (transfer.Report, error) {
	ctx := cmd.Context()
	out, err := startAudit(cmd, a.cfg.Audit, operation{name: outName})
	if err != nil {
		return nil, err
	}
	in, err := startAudit(cmd, b.cfg.Audit, operation{name: inName})
	if err != nil {
		return nil, out.finish(ctx, err)
	}
	report, err := do(ctx, transfer.Options{
		Reject: gallery.RejectUnreachable(listsOf(b.cfg), ""), Expired: retentionOf(b.cfg).Expired, Retry: retry.Default,
	})
	var copied []affected
	for _, o := range report {
		copied = append(copied, affected{collection: o.Collection, faces: o.Faces})
	}
	return report, in.finish(ctx, out.finish(ctx, err, copied...), written(report)...)
}

func copyAll(ctx context.Context, verb string, from, to ports.VectorStore, names []string, o transfer.Options) (transfer.Report, error) {
	bar := cli.NewProgress(verb, "users")
	defer bar.Close()
	o.Progress = bar.Show
	return transfer.Copy(ctx, from, to, names, o)
}

func verifyAll(ctx context.Context, b storeAccess, from, to ports.VectorStore, names []string, o transfer.Options) ([]transfer.Sum, error) {
	bar := cli.NewProgress("verify", "users")
	defer bar.Close()
	o.Progress, o.Retry, o.Expired = bar.Show, retry.Default, retentionOf(b.cfg).Expired
	return transfer.Verify(ctx, from, to, names, o)
}
