package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/dig"
	"go.uber.org/fx"

	"imago/adapters/httpapi"
)

const (
	// startTimeout bounds loading the models and opening the store.
	startTimeout = 5 * time.Minute
	// stopGrace is what closing takes beyond draining the requests.
	stopGrace = 30 * time.Second
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: "Serves the HTTP API until it is told to stop (SIGINT or SIGTERM), then finishes\n" +
			"the requests in progress. SIGHUP has the keys and certificates read again.",
		Example: "  imago serve --config config/memory.yaml\n" +
			"  IMAGO_API_KEY=$(head -c 24 /dev/urandom | base64) imago serve",
		Args: cobra.NoArgs,
		RunE: serve,
	}
}

func serve(cmd *cobra.Command, _ []string) error {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	models, err := findModels(cfg.Models)
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log)
	for _, exposure := range exposures(cfg) {
		log.Warn(exposure)
	}
	if c := models.Embedder.Manifest.Calibration; c.Provisional {
		log.Warn("The model's similarity scale was not fitted to measured error rates: choose thresholds with care.",
			"model", models.Embedder.Manifest.Name, "basis", c.Basis)
	}
	// From here on SIGHUP no longer ends the process. One that arrives during the
	// start is kept; several are one.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	// A file that may not grow any more (ulimit -f, a quota) is a write that fails,
	// as on a full disk, and no reason to die.
	signal.Ignore(syscall.SIGXFSZ)
	var server *httpapi.Server
	app := fx.New(options(cfg, models, log), fx.Populate(&server), reloadOn(hangups))
	if err := app.Err(); err != nil {
		return dig.RootCause(err)
	}
	stopTimeout := cfg.Server.Timeouts.DrainDelay + cfg.Server.Timeouts.Shutdown + stopGrace
	extendStop(cmd.Context(), stopTimeout+stopGrace)
	return runApp(cmd.Context(), app, server, stopTimeout)
}

// runApp starts the application and then its server, waits until it is told to stop
// or shuts itself down, and stops it. A signal breaks off the start; as soon as
// requests are served it is an orderly end.
func runApp(ctx context.Context, app *fx.App, server *httpapi.Server, stopTimeout time.Duration) error {
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := app.Start(starting); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	allowOverlap()
	failed := server.Start(context.WithoutCancel(ctx)) // both its listeners, or none
	if failed != nil {
		failed = fmt.Errorf("cannot start: %w", failed)
	} else {
		failed = untilTold(ctx, app)
	}
	// The command's context may have ended; stopping has a limit of its own.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(failed, app.Stop(stopping))
}

// untilTold returns when ctx ends, or when the application shuts itself down.
func untilTold(ctx context.Context, app *fx.App) error {
	select {
	case <-ctx.Done():
	case signal := <-app.Wait():
		if signal.ExitCode != 0 {
			return errors.New("a part of the server failed; see the log")
		}
	}
	return nil
}
