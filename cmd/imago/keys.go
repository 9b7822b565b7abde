package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"imago/adapters/apikey"
	"imago/cmd/imago/cli"
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
	var add bool
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a key and print its stanza for the keys file",
		Long: "Makes a random key for the client NAME. It is shown once and not stored. The stanza\n" +
			"holds its SHA-256; put it under `keys:` in the file of auth.keys_file, above a last\n" +
			"line `...`, by which imago detects a truncated file. A running imago reloads the file\n" +
			"by itself, or at once on SIGHUP.\n\n" +
			"With --add the key is one more of a client that the keys file has already: both are\n" +
			"valid, for the same faces and with one rate, until the old one is removed.",
		Example: "  imago keys new gateway\n" +
			"  imago keys new kiosk --operations search --collections users,blacklist --min-threshold 80 --rate 5 --expires 2027-01-31T00:00:00Z\n" +
			"  imago keys new gateway --add --config imago.yaml",
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
			if key.SHA256 = nil; add {
				return addKey(cmd, key.Name, expires, format)
			}
			return newKey(cmd, key, expires, format)
		},
	}
	cmd.Flags().StringSliceVar(&key.Collections, "collections", nil, "collections the key may use, as in users,blacklist, or all (default all)")
	cmd.Flags().StringSliceVar(&key.Operations, "operations", nil, "operations the key may perform: some of enrol, search, unenrol, read, or all (default all)")
	cmd.Flags().Float64Var(&key.MinThreshold, "min-threshold", 0, "lowest threshold in percent that the key may search with (default any)")
	cmd.Flags().StringVar(&expires, "expires", "", "when the key stops being valid, as in 2027-01-31T00:00:00Z (default never)")
	cmd.Flags().Float64Var(&rate, "rate", 0, "requests a second, 0 for any number (default auth.rate)")
	cmd.Flags().IntVar(&burst, "burst", 0, "requests at once after a pause, 0 for those of one second (default auth.burst)")
	cmd.Flags().BoolVar(&add, "add", false, "make one more key of the client NAME in the keys file")
	for _, fixed := range []string{"collections", "operations", "min-threshold", "rate", "burst"} {
		cmd.MarkFlagsMutuallyExclusive("add", fixed) // that is the client's already
	}
	cli.CompleteFlag(cmd, "collections", cli.CommaSeparated(scopes(configuredCollections)))
	cli.CompleteFlag(cmd, "operations", cli.CommaSeparated(cli.OneOf(config.All, "enrol", "search", "unenrol", "read")))
	cli.FormatFlag(cmd, &format)
	return cmd
}

// chooseScope sets a scope to config.All where its flag is absent. An empty flag is an
// error: most likely it is an unset variable of the shell.
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
	return cli.Usagef("--%s is empty: %s", name, remedy)
}

// scopes completes names and the word for all of them.
func scopes(names cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		words, directive := names(cmd, args, begun)
		return append(words, config.All), directive
	}
}

// keyExpiry reads the flag --expires.
func keyExpiry(text string) (at time.Time, err error) {
	if text == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, cli.Usagef("--expires must be a time such as 2027-01-31T00:00:00Z")
	}
	return at, nil
}

func newKey(cmd *cobra.Command, key config.Key, expires, format string) (err error) {
	if key.Expires, err = keyExpiry(expires); err != nil {
		return err
	}
	secret, hash := apikey.Generate()
	key.SHA256 = config.Hashes{{Hash: hash}}
	if err := key.Check(); err != nil {
		return cli.Usage(err)
	}
	warnOfNewKey(cmd, key)
	stanza, err := stanza(key)
	if err != nil {
		return err
	}
	return cli.Print(cmd.OutOrStdout(), format, newKeyResult{secret, stanza}, fmt.Sprintf(
		"key: %s\n\nThis is the only time it is shown. Put this under `keys:` in the keys file, above its\n"+
			"last line `...`, which shows that the file is complete:\n\n%s", secret, stanza))
}

// warnOfNewKey warns of a stanza that the configuration does not fit.
func warnOfNewKey(cmd *cobra.Command, key config.Key) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: cannot compare the key with the configuration:", err)
		return
	}
	warnings := unknownCollections([]config.Key{key}, cfg)
	if cfg.Auth.KeysFile != "" {
		file, err := config.LoadKeys(cfg.Auth.KeysFile)
		if err == nil && slices.ContainsFunc(file.Keys, func(k config.Key) bool { return k.Name == key.Name }) {
			warnings = append(warnings, fmt.Sprintf("%s is in %s already: imago keys new %s --add makes one more key of that client", key.Name, cfg.Auth.KeysFile, key.Name))
		}
	}
	for _, warning := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
}

// unknownCollections returns a warning for each collection of a key that the
// configuration does not have.
func unknownCollections(keys []config.Key, cfg config.Config) (warnings []string) {
	names := collectionNames(cfg)
	for _, key := range keys {
		for _, name := range key.Collections {
			if name != config.All && !slices.Contains(names, name) {
				warnings = append(warnings, fmt.Sprintf("key %s: there is no collection %s in the configuration, which has %s; correct the key, or add it to `collections`",
					key.Name, name, strings.Join(names, ", ")))
			}
		}
	}
	return warnings
}

// addKey makes one more key of a client in the keys file.
func addKey(cmd *cobra.Command, name, expires, format string) error {
	at, err := keyExpiry(expires)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	path := cfg.Auth.KeysFile
	if path == "" {
		return cli.Usagef("--add needs the keys file: name the configuration with --config, or set IMAGO_AUTH_KEYS_FILE")
	}
	file, err := config.LoadKeys(path)
	if err != nil {
		return cli.Usage(err)
	}
	i := slices.IndexFunc(file.Keys, func(k config.Key) bool { return k.Name == name })
	if i < 0 {
		return cli.Usagef("%s has no client %s: leave out --add to make its first key", path, name)
	}
	secret, hash := apikey.Generate()
	key := file.Keys[i]
	key.SHA256 = append(slices.Clone(key.SHA256), config.Hash{Hash: hash, Expires: at})
	if err := key.Check(); err != nil {
		return cli.Usage(err)
	}
	stanza, err := stanza(key)
	if err != nil {
		return err
	}
	return cli.Print(cmd.OutOrStdout(), format, newKeyResult{secret, stanza}, fmt.Sprintf(
		"key: %s\n\nThis is the only time it is shown. Put this in place of the entry of %s in\n%s. Remove the old hash when the client uses the new key:\n\n%s", secret, name, path, stanza))
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
