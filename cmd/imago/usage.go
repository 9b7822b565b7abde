package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// markUsage makes wrong arguments of a command and those below it the caller's
// to mend. Commands that only hold others ask for one of them.
func markUsage(cmd *cobra.Command) {
	if cmd.HasSubCommands() {
		cmd.Args, cmd.RunE = cobra.ArbitraryArgs, oneOfIts
	} else if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w; the usage is %q", err, cmd.UseLine())}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markUsage(sub)
	}
}

// oneOfIts is what happens to a command that only holds others.
func oneOfIts(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usageError{fmt.Errorf("%s needs one of these commands: %s%s", cmd.CommandPath(), strings.Join(names, ", "), seeHelp(cmd))}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	return usageError{fmt.Errorf("unknown command %q for %q%s%s", name, cmd.CommandPath(), meant(cmd, name), seeHelp(cmd))}
}

// meant asks whether one of the commands below cmd was misspelt.
func meant(cmd *cobra.Command, name string) string {
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

// flagError says what is wrong with a flag. Where the command before it is none,
// its flags cannot be known, and the command is what is wrong.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		return usageError{fmt.Errorf("%w%s%s", err, meant(flagsAsCommands(cmd), "--"+unknown.GetSpecifiedName()), seeHelp(cmd))}
	}
	return usageError{fmt.Errorf("%w%s", err, seeHelp(cmd))}
}

// flagsAsCommands has what finds the nearest command find the nearest flag.
func flagsAsCommands(cmd *cobra.Command) *cobra.Command {
	names := &cobra.Command{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		names.AddCommand(&cobra.Command{Use: "--" + f.Name, Run: func(*cobra.Command, []string) {}})
	})
	return names
}

// choice is the value of a flag that has few of them.
type choice struct {
	value *string
	among []string
}

// chooseFlag adds a flag that takes one of some values, the first by default.
func chooseFlag(cmd *cobra.Command, value *string, name string, among []string, usage string) {
	*value = among[0]
	cmd.Flags().Var(choice{value, among}, name, usage)
	completeFlag(cmd, name, oneOf(among...))
}

// formatFlag adds the flag of the commands whose results scripts may want.
func formatFlag(cmd *cobra.Command, format *string) {
	chooseFlag(cmd, format, "format", []string{"text", "json"}, "form of the result on standard output")
}

// String implements pflag.Value.
func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Set implements pflag.Value.
func (c choice) Set(text string) error {
	if !slices.Contains(c.among, text) {
		return fmt.Errorf("it must be one of %s", strings.Join(c.among, ", "))
	}
	*c.value = text
	return nil
}

// Type implements pflag.Value.
func (c choice) Type() string { return strings.Join(c.among, "|") }
