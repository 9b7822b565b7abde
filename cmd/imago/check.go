package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"imago/adapters/apikey"
	"imago/adapters/certificate"
	"imago/adapters/memstore"
	"imago/adapters/modelzoo"
	"imago/adapters/onnx"
	"imago/adapters/token"
	"imago/config"
	"imago/core/gallery"
	"imago/ports"
)

func checkCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check that imago could serve with a configuration",
		Long: "Reads the configuration and every file that it names, verifies the models by their\n" +
			"SHA-256, loads ONNX Runtime, and looks whether the store answers and belongs to the\n" +
			"configured model. It goes on after a failure, so that all are told at once.\n\n" +
			"Nothing is served. A memory store is read to its end, every face with its checksum,\n" +
			"and not changed; a running imago may have it in use. In PostgreSQL and Milvus it makes\n" +
			"the tables that are missing, as serve does.\n\n" +
			"Exit code 0 means that imago could serve, 1 that it could not, 2 that the\n" +
			"configuration is wrong, 4 that all is well but for a store that does not answer.",
		Example: "  imago check --config config/memory.yaml\n" +
			"  imago check --config config/pgvector.yaml && systemctl restart imago",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			for _, exposure := range exposures(cfg) {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", exposure)
			}
			all := examine(cmd.Context(), cfg)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if err := printFindings(cmd.OutOrStdout(), all, format); err != nil {
				return err
			}
			return verdict(all)
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

// finding is what was found out about a part of the configuration.
type finding struct {
	Part    string `json:"part"`
	OK      bool   `json:"ok"`
	Detail  string `json:"detail,omitempty"`
	problem error
}

// examine tries every part.
func examine(ctx context.Context, cfg config.Config) (all []finding) {
	quiet := slog.New(slog.DiscardHandler)
	for _, part := range []struct {
		name string
		try  func() (string, error)
	}{
		{"auth", func() (string, error) {
			return used(cfg.Auth.KeysFile), tryOut(ctx, apikey.New(cfg.Auth, os.Getenv("IMAGO_API_KEY"), quiet))
		}},
		{"token", func() (string, error) {
			return used(cfg.Token.KeysFile), tryOut(ctx, token.New(cfg.Token, cfg.Server.Limits.ImageBytes, quiet))
		}},
		{"server.tls", func() (string, error) {
			return used(cfg.Server.TLS.CertFile), tryOut(ctx, certificate.New(cfg.Server.TLS, quiet))
		}},
		{"models", func() (string, error) { return tryModels(ctx, cfg.Models) }},
		{"inference", func() (string, error) {
			r := onnx.NewRuntime(cfg.Inference, quiet)
			err := r.Start(ctx)
			return "ONNX Runtime " + r.Version(), errors.Join(err, r.Close(ctx))
		}},
		{"store", func() (string, error) { return tryStore(ctx, cfg) }},
	} {
		found := finding{Part: part.name}
		found.Detail, found.problem = part.try()
		if found.OK = found.problem == nil; !found.OK {
			found.Detail = found.problem.Error()
		}
		all = append(all, found)
	}
	return all
}

// used says what a setting names.
func used(file string) string {
	if file == "" {
		return "no file"
	}
	return file
}

// startable is a part that reads its files when it is started.
type startable interface {
	Start(context.Context) error
	Close(context.Context) error
}

func tryOut(ctx context.Context, part startable) error {
	if err := part.Start(ctx); err != nil {
		return err
	}
	return part.Close(ctx)
}

// tryModels verifies the configured networks.
func tryModels(ctx context.Context, cfg config.Models) (string, error) {
	_, err := findModels(cfg)
	zoo := modelzoo.New(cfg.Dir, config.BuiltinModels)
	for _, name := range []string{cfg.Detector, cfg.Embedder} {
		if err == nil {
			err = zoo.Verify(ctx, name)
		}
	}
	return cfg.Detector + " and " + cfg.Embedder, err
}

// tryStore opens a network store, and looks at the file of a memory store; of either it
// looks at every user ID.
func tryStore(ctx context.Context, cfg config.Config) (string, error) {
	path := cfg.Store.Memory.Path
	if cfg.Store.Driver == "memory" && path == "" {
		return "memory, in RAM only", nil
	}
	access, err := accessStore(cfg)
	if err != nil {
		return "", err
	}
	if cfg.Store.Driver == "memory" {
		census := gallery.NewCensus(listsOf(cfg))
		faces, err := memstore.Inspect(ctx, cfg.Store.Memory, access.space, census.Add)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("memory, %s is to be made", path), nil
		}
		return withWarnings(fmt.Sprintf("memory, %d faces in %s", faces, path), census), cmp.Or(err, census.Err())
	}
	store, stop, err := access.open(ctx)
	if err != nil {
		return "", err
	}
	users, err := store.Count(ctx, access.names()[0])
	census, failed := takeCensus(ctx, cfg, store)
	return withWarnings(fmt.Sprintf("%s, %d users", cfg.Store.Driver, users), census), errors.Join(err, failed, census.Err(), stop())
}

// withWarnings adds what an operator should know of the users.
func withWarnings(detail string, census *gallery.Census) string {
	return strings.Join(append([]string{detail}, census.Warnings(true)...), "; ")
}

func printFindings(out io.Writer, all []finding, format string) error {
	if format == "json" {
		return printJSON(out, all)
	}
	for _, f := range all {
		state := "ok"
		if !f.OK {
			state = "FAILED"
		}
		if _, err := fmt.Fprintf(out, "%s: %s: %s\n", f.Part, state, f.Detail); err != nil {
			return err
		}
	}
	return nil
}

// verdict sums up what was found. A store that does not answer may do so by the
// next attempt; anything else will not mend itself.
func verdict(all []finding) error {
	failed, passing := 0, 0
	for _, f := range all {
		if f.OK {
			continue
		}
		failed++
		if errors.Is(f.problem, ports.ErrUnavailable) {
			passing++
		}
	}
	switch {
	case failed == 0:
		return nil
	case failed == passing:
		return unavailableError{errors.New("the store does not answer; see above")}
	}
	return fmt.Errorf("imago could not serve: %d of %d parts failed; see above", failed, len(all))
}
