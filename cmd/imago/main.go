// Command imago is the face search sidecar: `imago serve` answers the HTTP API,
// the other subcommands make keys, fetch models, enrol folders, move galleries
// and look after a running server. This package is the one place that knows
// every part and composes the application; each subcommand has a file of its
// own.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// version and commit are set by the linker.
var version, commit = "dev", ""

func main() {
	ctx, stop := interruptible(context.Background())
	code := run(ctx, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes the command line and says on errs, once, what went wrong.
func run(ctx context.Context, errs io.Writer) int {
	err := root().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(errs, "imago:", sentence(ctx, err))
	}
	return exitCode(ctx, err)
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "imago",
		Short: "Face search sidecar",
		Long: "imago enrols faces into collections, searches them 1:N and unenrols them,\n" +
			"over a small JSON API.\n\n" +
			"Results go to standard output; errors, warnings and progress to standard error.\n\n" +
			exitCodes,
		Example: "  imago models pull\n" +
			"  imago serve --config config/memory.yaml\n" +
			"  imago help keys new",
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	cmd.PersistentFlags().String("config", os.Getenv("IMAGO_CONFIG"), "configuration file (env IMAGO_CONFIG); without one the defaults hold")
	completeFlag(cmd, "config", filesWith("yaml", "yml"))
	cmd.AddCommand(serveCommand(), keysCommand(), tokenCommand(), modelsCommand(), healthcheckCommand(), versionCommand(),
		benchCommand(), checkCommand(), completionCommand(), enrollCommand(), evaluateCommand(), exportCommand(), importCommand(), migrateCommand(), unenrolCommand())
	cmd.SetHelpCommand(helpCommand())
	cmd.SetFlagErrorFunc(flagError)
	markUsage(cmd)
	return cmd
}
