package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"imago/adapters/httpapi"
	"imago/cmd/imago/cli"
	"imago/config"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: "Serves the HTTP API until SIGINT or SIGTERM, then finishes the requests in progress.\n" +
			"SIGHUP reloads API keys, token keys and certificates, and reopens the audit log.",
		Example: "  imago serve --config config/memory.yaml\n" +
			"  IMAGO_API_KEY=$(head -c 24 /dev/urandom | base64) imago serve",
		Args: cobra.NoArgs,
		RunE: withConfig(serve),
	}
}

func serve(cmd *cobra.Command, _ []string, cfg config.Config) error {
	began := time.Now()
	models, err := findModels(cfg.Models)
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log)
	own := log.With("component", "serve")
	for _, warning := range configWarnings(cfg) {
		own.Warn(warning)
	}
	if c := models.Embedder.Manifest.Calibration; c.Provisional {
		own.Warn("the model's calibration is provisional, not fitted to measured error rates: choose thresholds with care",
			"model", models.Embedder.Manifest.Name, "basis", c.Basis)
	}
	// From here on SIGHUP does not end the process. One that arrives during the start is
	// handled after it.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	// Writing beyond the limit of file sizes (ulimit -f) then fails as on a full disk,
	// and does not end the process.
	signal.Ignore(syscall.SIGXFSZ)
	var server *httpapi.Server
	stopTimeout := cfg.Server.Timeouts.DrainDelay + cfg.Server.Timeouts.Shutdown + closeTimeout
	cli.ExtendStop(cmd.Context(), stopTimeout+closeTimeout)
	app, err := start(cmd.Context(), fx.Options(options(cfg, models, log), fx.Populate(&server), reloadOn(hangups)))
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	raiseGOMAXPROCS()
	// A signal cancels the start; once requests are served it begins a graceful stop.
	err = server.Start(context.WithoutCancel(cmd.Context())) // both its listeners, or none
	if err != nil {
		return errors.Join(fmt.Errorf("cannot start: %w", err), stop(cmd.Context(), app, stopTimeout))
	}
	own.Info("started", startAttributes(cmd, cfg, server)...)
	reason, err := waitForStop(cmd.Context(), app)
	err = errors.Join(err, stop(cmd.Context(), app, stopTimeout))
	own.Info("stopped", "reason", reason, "uptime_seconds", int(time.Since(began).Seconds()), "requests_cut_off", server.CutOff())
	return err
}

// startAttributes say with what imago serves: what an operator wants to know of a log
// first.
func startAttributes(cmd *cobra.Command, cfg config.Config, server *httpapi.Server) []any {
	operations := off
	if address := server.OpsAddr(); address != nil {
		operations = address.String()
	}
	file := cmd.Flag("config").Value.String()
	if file != "" {
		file = absolutePath(file)
	}
	store := cfg.Store.Driver
	if store == "memory" {
		store += ", " + cmp.Or(cfg.Store.Memory.Path, "in RAM only")
	}
	return []any{
		"version", version, "commit", commit, "config", cmp.Or(file, "none"),
		"listen", server.Addr().String(), "ops_listen", operations, "tls", onOff(cfg.Server.TLS.Enabled()),
		"collections", collectionNames(cfg), "detector", cfg.Models.Detector, "embedder", cfg.Models.Embedder,
		"store", store, "audit", cmp.Or(cfg.Audit.Path, off), "tokens", onOff(cfg.Token.KeysFile != ""),
	}
}

// off is said of what is not configured.
const off = "off"

func onOff(on bool) string {
	if on {
		return "on"
	}
	return off
}

// waitForStop returns when ctx ends, or when the application shuts itself down, and says
// why.
func waitForStop(ctx context.Context, app *fx.App) (reason string, err error) {
	select {
	case <-ctx.Done():
		return context.Cause(ctx).Error(), nil
	case signal := <-app.Wait():
		if signal.ExitCode != 0 {
			return "a component failed", errors.New("a component failed; see the log")
		}
		return "interrupted by a signal: " + signal.Signal.String(), nil // fx listens to them too
	}
}
