package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"imago/adapters/apikey"
	"imago/config"
)

// shownHash is how much of a key's SHA-256 is shown, in hexadecimal digits:
// enough to tell keys apart, useless for anything else.
const shownHash = 8

func keysListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the keys of the keys file: names, scopes, limits, expiry",
		Long: "Lists the clients of the file that auth.keys_file names, what each may do, how often,\n" +
			"and until when. Keys are not shown: imago does not know them. The fingerprint is the\n" +
			"beginning of a key's SHA-256.",
		Example: "  imago keys list --config config/memory.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return listKeys(cmd.OutOrStdout(), cfg.Auth, os.Getenv("IMAGO_API_KEY") != "", time.Now())
		},
	}
}

// listKeys prints a table of all keys, that of the environment first.
func listKeys(out io.Writer, auth config.Auth, environment bool, now time.Time) error {
	var keys config.Keys
	if auth.KeysFile != "" {
		var err error
		if keys, err = config.LoadKeys(auth.KeysFile); err != nil {
			return usageError{err}
		}
	} else if !environment {
		return usageError{errors.New("no keys are configured: set auth.keys_file or IMAGO_API_KEY")}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tFINGERPRINT\tCOLLECTIONS\tOPERATIONS\tRATE\tEXPIRES")
	if environment {
		fmt.Fprintf(table, "%s\t(IMAGO_API_KEY)\tall\tall\t%s\tnever\n", apikey.EnvironmentClient, rateOf(config.Key{}, auth))
	}
	for _, key := range keys.Keys {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", key.Name, key.SHA256[:shownHash],
			scopeOf(key.Collections), scopeOf(key.Operations), rateOf(key, auth), expiryOf(key.Expires, now))
	}
	return table.Flush()
}

func scopeOf(names []string) string { return cmp.Or(strings.Join(names, ","), "all") }

// rateOf is the limit that holds for a key, as in "5/s, burst 10".
func rateOf(key config.Key, auth config.Auth) string {
	rate, burst := key.Limit(auth)
	if rate == 0 {
		return "any"
	}
	text := strconv.FormatFloat(rate, 'g', -1, 64) + "/s"
	if burst > 0 {
		text += ", burst " + strconv.Itoa(burst)
	}
	return text
}

func expiryOf(at, now time.Time) string {
	switch {
	case at.IsZero():
		return "never"
	case !now.Before(at):
		return at.Format(time.RFC3339) + " (expired)"
	}
	return at.Format(time.RFC3339)
}
