package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"imago/adapters/apikey"
	"imago/config"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Make and list API keys",
		Example: "  imago keys new gateway\n  imago keys list --config config/memory.yaml",
	}
	cmd.AddCommand(keysNewCommand(), keysListCommand())
	return cmd
}

func keysNewCommand() *cobra.Command {
	var key config.Key
	var expires string
	var rate float64
	var burst int
	var format string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a key and print its stanza for the keys file",
		Long: "Makes a random key for the client NAME. The key is shown once and stored nowhere;\n" +
			"the stanza holds its SHA-256 and goes under `keys:` in the file that\n" +
			"auth.keys_file names, whose last line should be `...`: once it is there, a file without\n" +
			"it is known to be cut short. A running imago reads that file again by itself, or at\n" +
			"once on SIGHUP.",
		Example: "  imago keys new gateway\n" +
			"  imago keys new kiosk --operations search --collections users,blacklist --min-threshold 80 --rate 5 --expires 2027-01-31T00:00:00Z",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key.Name = args[0]
			for flag, scope := range map[string]*[]string{"collections": &key.Collections, "operations": &key.Operations} {
				if err := chooseScope(cmd, flag, scope); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("expires") && expires == "" {
				return emptyFlag("expires", "leave it out for a key that never expires")
			}
			if cmd.Flags().Changed("rate") {
				key.Rate = &rate
			}
			if cmd.Flags().Changed("burst") {
				key.Burst = &burst
			}
			return newKey(cmd, key, expires, format)
		},
	}
	cmd.Flags().StringSliceVar(&key.Collections, "collections", nil, "collections the key may use, as in users,blacklist, or all (default all)")
	cmd.Flags().StringSliceVar(&key.Operations, "operations", nil, "operations the key may perform: some of enrol, search, unenrol, read, or all (default all)")
	cmd.Flags().Float64Var(&key.MinThreshold, "min-threshold", 0, "least threshold in percent that the key may search with (default any)")
	cmd.Flags().StringVar(&expires, "expires", "", "when the key stops being valid, as in 2027-01-31T00:00:00Z (default never)")
	cmd.Flags().Float64Var(&rate, "rate", 0, "requests a second, 0 for any number (default auth.rate)")
	cmd.Flags().IntVar(&burst, "burst", 0, "requests at once after a pause, 0 for those of one second (default auth.burst)")
	completeFlag(cmd, "collections", several(scopes(configuredCollections)))
	completeFlag(cmd, "operations", several(oneOf(config.All, "enrol", "search", "unenrol", "read")))
	formatFlag(cmd, &format)
	return cmd
}

// chooseScope has a scope that no flag names be everything, in a word that the
// file shows. A flag that names nothing is a variable that is not set.
func chooseScope(cmd *cobra.Command, flag string, scope *[]string) error {
	switch {
	case !cmd.Flags().Changed(flag):
		*scope = []string{config.All}
	case len(*scope) == 0:
		return emptyFlag(flag, "name what the key may have, or "+config.All)
	}
	return nil
}

func emptyFlag(name, remedy string) error {
	return usageError{fmt.Errorf("--%s is empty: %s", name, remedy)}
}

// scopes completes what names collections and the word for all of them.
func scopes(names cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		words, directive := names(cmd, args, begun)
		return append(words, config.All), directive
	}
}

func newKey(cmd *cobra.Command, key config.Key, expires, format string) error {
	if expires != "" {
		at, err := time.Parse(time.RFC3339, expires)
		if err != nil {
			return usageError{errors.New("--expires must be a time such as 2027-01-31T00:00:00Z")}
		}
		key.Expires = at
	}
	var secret string
	secret, key.SHA256 = apikey.Generate()
	if err := key.Check(); err != nil {
		return usageError{err}
	}
	stanza, err := stanza(key)
	if err != nil {
		return err
	}
	if format == "json" {
		return printJSON(cmd.OutOrStdout(), newKeyResult{secret, stanza})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(),
		"key: %s\n\nThis is the only time it is shown. Put this under `keys:` in the keys file, above its\n"+
			"last line `...`, which shows that the file is complete:\n\n%s", secret, stanza)
	return err
}

// newKeyResult is the result in JSON.
type newKeyResult struct {
	Key    string `json:"key"`
	Stanza string `json:"stanza"` // YAML for the keys file
}

// stanza returns the lines of a key for the keys file, indented to stand under
// `keys:`.
func stanza(key config.Key) (string, error) {
	var file strings.Builder
	encoder := yaml.NewEncoder(&file)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(config.Keys{Keys: []config.Key{key}}), encoder.Close()); err != nil {
		return "", err
	}
	return strings.TrimPrefix(file.String(), "keys:\n"), nil
}
