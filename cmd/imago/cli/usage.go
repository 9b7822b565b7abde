package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Setup completes a tree of commands: it adds help and completion, and turns usage errors
// into one line with a hint and the exit code for them.
func Setup(root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(completionCommand())
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(flagError)
	markUsageErrors(root)
}

// markUsageErrors marks wrong arguments of a command and its subcommands as usage errors.
// Commands with subcommands require one of them.
func markUsageErrors(cmd *cobra.Command) {
	if cmd.HasSubCommands() {
		cmd.Args, cmd.RunE = cobra.ArbitraryArgs, requireSubcommand
	} else if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return Usagef("%w; the usage is %q", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markUsageErrors(sub)
	}
}

// requireSubcommand is what a command with subcommands runs.
func requireSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	var names []string
	for _, sub := range available(cmd) {
		names = append(names, sub.Name())
	}
	return Usagef("%s needs one of these commands: %s%s", cmd.CommandPath(), strings.Join(names, ", "), seeHelp(cmd))
}

// available returns the commands below cmd that are shown.
func available(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return !c.IsAvailableCommand() })
}

func unknownCommand(cmd *cobra.Command, name string) error {
	return Usagef("unknown command %q for %q%s%s", name, cmd.CommandPath(), suggestion(cmd, name), seeHelp(cmd))
}

// suggestion suggests subcommands with names like a misspelt one.
func suggestion(cmd *cobra.Command, name string) string {
	if cmd.SuggestionsMinimumDistance == 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	near := cmd.SuggestionsFor(name)
	if len(near) == 0 {
		return ""
	}
	slices.Sort(near)
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

func seeHelp(cmd *cobra.Command) string { return fmt.Sprintf("; see %q", cmd.CommandPath()+" --help") }

// flagError explains an error of a flag. After an unknown command no flag is known, so the
// command is the error.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		return Usagef("%w%s%s", err, suggestion(flagsAsCommands(cmd), "--"+unknown.GetSpecifiedName()), seeHelp(cmd))
	}
	return Usagef("%w%s", err, seeHelp(cmd))
}

// flagsAsCommands makes cobra, which suggests commands, suggest flags.
func flagsAsCommands(cmd *cobra.Command) *cobra.Command {
	names := &cobra.Command{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: "--" + f.Name, Run: func(*cobra.Command, []string) {}})
	})
	return names
}
