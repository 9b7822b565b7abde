// Command imago is the face search sidecar: `imago serve` answers the HTTP API,
// the other subcommands make keys, fetch models, enrol folders, move galleries
// and look after a running server. This package is the one place that knows
// every part and composes the application; each subcommand has a file of its
// own.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"imago/cmd/imago/cli"
)

// version and commit are set by the linker.
var version, commit = "dev", ""

func main() { os.Exit(cli.Main(root())) }

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "imago",
		Short: "Face search sidecar",
		Long: "imago enrols faces into collections, searches them 1:N and unenrols them,\n" +
			"over a small JSON API.\n\n" +
			"Results go to standard output; errors, warnings and progress to standard error.\n\n" +
			cli.ExitCodes,
		Example: "  imago models pull\n" +
			"  imago serve --config config/memory.yaml\n" +
			"  imago help keys new",
		Version: version,
	}
	cmd.PersistentFlags().String("config", os.Getenv("IMAGO_CONFIG"), "configuration file (env IMAGO_CONFIG); without one the defaults hold")
	cli.CompleteFlag(cmd, "config", cli.Files("yaml", "yml"))
	cmd.AddCommand(serveCommand(), keysCommand(), tokenCommand(), modelsCommand(), healthcheckCommand(), versionCommand(),
		backupCommand(), benchCommand(), checkCommand(), duplicatesCommand(), enrolCommand(), evaluateCommand(), exportCommand(), importCommand(), migrateCommand(), reembedCommand(), unenrolCommand())
	cli.Setup(cmd)
	return cmd
}
