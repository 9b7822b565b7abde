package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shells are the generators of completion scripts.
var shells = map[string]func(*cobra.Command, io.Writer) error{
	"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
	"zsh":        (*cobra.Command).GenZshCompletion,
	"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
}

func completionCommand() *cobra.Command {
	names := []string{"bash", "fish", "powershell", "zsh"}
	return &cobra.Command{
		Use:   "completion {" + strings.Join(names, "|") + "}",
		Short: "Print a script that completes commands in a shell",
		Long: "Prints a script by which the shell completes commands, flags, files, and the names\n" +
			"of collections and models that the configuration has. bash needs its package\n" +
			"bash-completion. The first example is for the present shell; the others last.",
		Example: "  source <(imago completion bash)\n" +
			"  imago completion bash > /etc/bash_completion.d/imago\n" +
			"  imago completion zsh > \"${fpath[1]}/_imago\"\n" +
			"  imago completion fish > ~/.config/fish/completions/imago.fish",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			return shells[args[0]](cmd.Root(), cmd.OutOrStdout())
		},
	}
}

// CompleteFlag says how the value of a flag is completed.
func CompleteFlag(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err) // there is no such flag
	}
}

// OneOf completes fixed words.
func OneOf(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// Files completes the names of files with some extensions, and folders on the way
// there.
func Files(extensions ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(extensions, cobra.ShellCompDirectiveFilterFileExt)
}

// Folders completes the names of folders.
func Folders() cobra.CompletionFunc {
	return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
}

// FirstArgument completes the first argument, and none behind it.
func FirstArgument(by cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return by(cmd, args, begun)
	}
}

// CommaSeparated completes a list of words with commas between them, each once.
func CommaSeparated(by cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		at := strings.LastIndexByte(begun, ',') + 1
		there := begun[:at]
		words, directive := by(cmd, args, begun[at:])
		var lists []string
		for _, word := range words {
			if !slices.Contains(strings.Split(there, ","), word) {
				lists = append(lists, there+word)
			}
		}
		return lists, directive | cobra.ShellCompDirectiveNoSpace
	}
}
