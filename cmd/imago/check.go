package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"imago/adapters/apikey"
	"imago/adapters/audit"
	"imago/adapters/certificate"
	"imago/adapters/memstore"
	"imago/adapters/modelzoo"
	"imago/adapters/onnx"
	"imago/adapters/telemetry"
	"imago/adapters/token"
	"imago/cmd/imago/cli"
	"imago/config"
	"imago/config/diskspace"
	"imago/core/gallery"
	"imago/core/naming"
	"imago/ports"
)

func checkCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check that imago could serve with a configuration",
		Long: "Reads the configuration and every file that it names, verifies the models by their\n" +
			"SHA-256, loads ONNX Runtime, and checks that the store answers and belongs to the\n" +
			"configured model. It reports all failures at once, and says \"off\" of what is not\n" +
			"configured.\n\n" +
			"Nothing is served. A memory store is read to its end and every checksum verified; it is\n" +
			"not changed, and a running imago may have it in use. In PostgreSQL and Milvus missing\n" +
			"tables are created, as by serve.\n\n" +
			"Exit code 0 means that imago could serve, 1 that it could not, 2 that the configuration\n" +
			"is wrong, 4 that only the store does not answer.",
		Example: "  imago check --config config/memory.yaml\n" +
			"  imago check --config config/pgvector.yaml && systemctl restart imago",
		Args: cobra.NoArgs,
		RunE: withConfig(func(cmd *cobra.Command, _ []string, cfg config.Config) error {
			for _, warning := range configWarnings(cfg) {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
			}
			all := checkAll(cmd.Context(), cfg)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if err := cli.Print(cmd.OutOrStdout(), format, all, findingsText(all)); err != nil {
				return err
			}
			return checkResult(all)
		}),
	}
	cli.FormatFlag(cmd, &format)
	return cmd
}

// finding is the result of checking a part of the configuration.
type finding struct {
	Part    string `json:"part"`
	OK      bool   `json:"ok"`
	Detail  string `json:"detail,omitempty"`
	problem error
	option  bool // there is little to it that could fail
}

// checkAll checks every part, also after a failure.
func checkAll(ctx context.Context, cfg config.Config) (all []finding) {
	quiet := slog.New(slog.DiscardHandler)
	for _, part := range []struct {
		name string
		try  func() (string, error)
	}{
		{"auth", func() (string, error) {
			return cmp.Or(cfg.Auth.KeysFile, "IMAGO_API_KEY alone"), startAndClose(ctx, apikey.New(cfg.Auth, os.Getenv("IMAGO_API_KEY"), quiet))
		}},
		{"token", func() (string, error) {
			return cmp.Or(cfg.Token.KeysFile, off), startAndClose(ctx, token.New(cfg.Token, cfg.Server.Limits.ImageBytes, quiet))
		}},
		{"server.tls", func() (string, error) {
			return cmp.Or(cfg.Server.TLS.CertFile, off), startAndClose(ctx, certificate.New(cfg.Server.TLS, quiet))
		}},
		{"audit", func() (string, error) { return cmp.Or(cfg.Audit.Path, off), audit.Inspect(cfg.Audit) }},
		{"models", func() (string, error) { return checkModels(ctx, cfg.Models) }},
		{"inference", func() (string, error) {
			r := onnx.NewRuntime(cfg.Inference, quiet)
			err := r.Start(ctx)
			return "ONNX Runtime " + r.Version(), errors.Join(err, r.Close(ctx))
		}},
		{"store", func() (string, error) { return checkStore(ctx, cfg) }},
	} {
		found := finding{Part: part.name}
		found.Detail, found.problem = part.try()
		if found.OK = found.problem == nil; !found.OK {
			found.Detail = found.problem.Error()
		}
		all = append(all, found)
	}
	return append(all, checkOptions(cfg)...)
}

// checkOptions tells of what can be off whether it is.
func checkOptions(cfg config.Config) []finding {
	rate := off
	if cfg.Auth.Rate > 0 {
		rate = rateText(keyInfo{Rate: cfg.Auth.Rate, Burst: cfg.Auth.Burst})
	}
	encryption := cfg.Store.Memory.Encryption
	traced, err := telemetry.Enabled()
	options := []finding{
		{Part: "auth.rate", Detail: rate},
		{Part: "server.ops_listen", Detail: cmp.Or(cfg.Server.OpsListen, off)},
		{Part: "store.memory.encryption", Detail: onOff(cfg.Store.Driver == "memory" && (encryption.KeyFile != "" || encryption.Key != ""))},
		{Part: "tracing", Detail: onOff(traced), problem: err},
	}
	for i := range options {
		o := &options[i]
		if o.option, o.OK = true, o.problem == nil; !o.OK {
			o.Detail = o.problem.Error()
		}
	}
	return options
}

// startCloser is a part that reads its files when it is started.
type startCloser interface {
	Start(context.Context) error
	Close(context.Context) error
}

func startAndClose(ctx context.Context, part startCloser) error {
	if err := part.Start(ctx); err != nil {
		return err
	}
	return part.Close(ctx)
}

// checkModels verifies the configured networks.
func checkModels(ctx context.Context, cfg config.Models) (string, error) {
	_, err := findModels(cfg)
	zoo := modelzoo.New(cfg.Dir, config.BuiltinModels)
	for _, name := range []string{cfg.Detector, cfg.Embedder} {
		if err == nil {
			err = zoo.Verify(ctx, name)
		}
	}
	return cfg.Detector + " and " + cfg.Embedder, err
}

// commitRoom is what a memory store may need on its disk for one commit.
const commitRoom = 1 << 20

// checkStore opens a network store or reads the file of a memory store, and checks
// every user ID.
func checkStore(ctx context.Context, cfg config.Config) (string, error) {
	path := cfg.Store.Memory.Path
	if cfg.Store.Driver == "memory" && path == "" {
		return "memory, in RAM only", nil
	}
	access, err := accessStore(cfg)
	if err != nil {
		return "", err
	}
	if cfg.Store.Driver == "memory" {
		found := gallery.NewUserCheck(listsOf(cfg))
		faces, err := memstore.Inspect(ctx, cfg.Store.Memory, access.space, found.Add)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("memory, %s is to be made", path), diskspace.Require(path, commitRoom)
		}
		return withWarnings(fmt.Sprintf("memory, %d faces in %s", faces, path), found), cmp.Or(err, diskspace.Require(path, commitRoom), found.Err())
	}
	var detail string
	err = access.use(ctx, func(store ports.VectorStore) error {
		users, err := store.Count(ctx, naming.Inventory)
		if health, ok := store.(ports.HealthChecker); ok && err == nil {
			err = health.CheckHealth(ctx)
		}
		found, failed := checkUserIDs(ctx, cfg, store)
		detail = withWarnings(fmt.Sprintf("%s, %d users", cfg.Store.Driver, users), found)
		return errors.Join(err, failed, found.Err())
	})
	return detail, err
}

// withWarnings appends the warnings about user IDs.
func withWarnings(detail string, found *gallery.UserCheck) string {
	return strings.Join(append([]string{detail}, found.Warnings(true)...), "; ")
}

func findingsText(all []finding) string {
	var b strings.Builder
	for _, f := range all {
		state := "ok"
		if !f.OK {
			state = "FAILED"
		}
		fmt.Fprintf(&b, "%s: %s: %s\n", f.Part, state, f.Detail)
	}
	return b.String()
}

// checkResult returns the error of the whole check. A store that does not answer may
// do so at the next attempt; other failures are permanent.
func checkResult(all []finding) error {
	failed, unavailable, parts := 0, 0, 0
	for _, f := range all {
		if !f.option || !f.OK {
			parts++
		}
		if !f.OK {
			failed++
		}
		if errors.Is(f.problem, ports.ErrUnavailable) {
			unavailable++
		}
	}
	switch {
	case failed == 0:
		return nil
	case failed == unavailable:
		return cli.Unavailablef("the store does not answer; see above")
	}
	return fmt.Errorf("imago could not serve: %d of %d parts failed; see above", failed, parts)
}
