package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imago/adapters/modelzoo"
	"imago/config"
)

// shells are those that completions are written for.
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

// completeFlag says how the value of a flag is completed.
func completeFlag(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err) // there is no such flag
	}
}

// oneOf completes fixed words.
func oneOf(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// filesWith completes the names of files with some extensions, and folders on
// the way there.
func filesWith(extensions ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(extensions, cobra.ShellCompDirectiveFilterFileExt)
}

// folders completes the names of folders.
func folders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// first has the first argument completed, and none behind it.
func first(by cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return by(cmd, args, begun)
	}
}

// several completes a list of words with commas between them, each once.
func several(by cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		there, at := "", strings.LastIndexByte(begun, ',')
		if at >= 0 {
			there = begun[:at+1]
		}
		words, directive := by(cmd, args, begun[at+1:])
		var lists []string
		for _, word := range words {
			if !slices.Contains(strings.Split(there, ","), word) {
				lists = append(lists, there+word)
			}
		}
		return lists, directive | cobra.ShellCompDirectiveNoSpace
	}
}

// configuredCollections completes the names of the collections.
func configuredCollections(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return collectionNames(cfg), cobra.ShellCompDirectiveNoFileComp
}

// knownModels completes the names of models.
func knownModels(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	entries, _ := modelzoo.New(cfg.Models.Dir, config.BuiltinModels).List()
	for _, e := range entries {
		if !slices.Contains(args, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
