// Command imago is the face search sidecar: `imago serve` answers the HTTP API,
// the other subcommands make keys, fetch models, enrol folders, move galleries
// and look after a running server. This package is the one place that knows
// every part and composes the application; each subcommand has a file of its
// own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

// The exit codes, for scripts.
const (
	exitFailed  = 1 // the command was understood and failed
	exitUsage   = 2 // the command line or the configuration is wrong
	exitPartial = 3 // the command is done, but something was refused
)

// usageError marks an error that is the caller's to mend.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// partialError marks an error that says what a command has left out.
type partialError struct{ error }

func (e partialError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	err := root().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "imago:", err)
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	if errors.As(err, new(partialError)) {
		return exitPartial
	}
	return exitFailed
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "imago",
		Short: "Face search sidecar",
		Long: "imago enrols faces into collections, searches them 1:N and unenrols them,\n" +
			"over a small JSON API.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.PersistentFlags().String("config", os.Getenv("IMAGO_CONFIG"), "configuration file (env IMAGO_CONFIG); without one the defaults hold")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(serveCommand(), keysCommand(), tokenCommand(), modelsCommand(), healthcheckCommand(), versionCommand(),
		benchCommand(), enrollCommand(), evaluateCommand(), exportCommand(), importCommand(), migrateCommand())
	markUsage(cmd)
	return cmd
}

// markUsage makes wrong arguments of a command and those below it the caller's
// to mend.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markUsage(sub)
	}
}
