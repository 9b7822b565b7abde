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
	var format string
	cmd := &cobra.Command{
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
			return listKeys(cmd.OutOrStdout(), cfg.Auth, os.Getenv("IMAGO_API_KEY") != "", time.Now(), format)
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

// listKeys prints all keys, that of the environment first.
func listKeys(out io.Writer, auth config.Auth, environment bool, now time.Time, format string) error {
	keys, err := readKeys(auth, environment)
	if err != nil {
		return err
	}
	list := describeKeys(keys, auth, environment, now)
	if format == "json" {
		return printJSON(out, list)
	}
	return printKeys(out, list)
}

// readKeys reads the keys file, where there is one.
func readKeys(auth config.Auth, environment bool) (config.Keys, error) {
	if auth.KeysFile == "" {
		if !environment {
			return config.Keys{}, usageError{errors.New("no keys are configured: set auth.keys_file or IMAGO_API_KEY")}
		}
		return config.Keys{}, nil
	}
	keys, err := config.LoadKeys(auth.KeysFile)
	if err != nil {
		return config.Keys{}, usageError{err}
	}
	return keys, nil
}

// describedKey is what is shown of a key.
type describedKey struct {
	Name        string   `json:"name"`
	Fingerprint string   `json:"fingerprint,omitempty"` // empty for the key of the environment
	Collections []string `json:"collections"`
	Operations  []string `json:"operations"`
	// MinThreshold is the least that the key may search with, in percent; absent for any.
	MinThreshold float64    `json:"min_threshold,omitempty"`
	Rate         float64    `json:"rate"` // 0 for any
	Burst        int        `json:"burst"`
	Expires      *time.Time `json:"expires,omitempty"`
	Expired      bool       `json:"expired"`
}

// describeKeys says what there is to say of each key.
func describeKeys(keys config.Keys, auth config.Auth, environment bool, now time.Time) []describedKey {
	list := []describedKey{}
	if environment {
		list = append(list, describedKey{
			Name: apikey.EnvironmentClient, Collections: []string{config.All}, Operations: []string{config.All}, Rate: auth.Rate, Burst: auth.Burst,
		})
	}
	for _, key := range keys.Keys {
		one := describedKey{Name: key.Name, Fingerprint: key.SHA256[:shownHash], Collections: key.Collections, Operations: key.Operations, MinThreshold: key.MinThreshold}
		one.Rate, one.Burst = key.Limit(auth)
		if !key.Expires.IsZero() {
			one.Expires, one.Expired = &key.Expires, !now.Before(key.Expires)
		}
		list = append(list, one)
	}
	return list
}

// printKeys prints them as a table.
func printKeys(out io.Writer, list []describedKey) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tFINGERPRINT\tCOLLECTIONS\tOPERATIONS\tRATE\tEXPIRES")
	for _, key := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", key.Name, cmp.Or(key.Fingerprint, "(IMAGO_API_KEY)"),
			strings.Join(key.Collections, ","), strings.Join(key.Operations, ",")+leastOf(key), rateOf(key), expiryOf(key))
	}
	return table.Flush()
}

// leastOf is the least threshold of a key, "" for none.
func leastOf(key describedKey) string {
	if key.MinThreshold == 0 {
		return ""
	}
	return " (search from " + strconv.FormatFloat(key.MinThreshold, 'g', -1, 64) + " %)"
}

// rateOf is the limit that holds for a key, as in "5/s, burst 10".
func rateOf(key describedKey) string {
	if key.Rate == 0 {
		return "any"
	}
	text := strconv.FormatFloat(key.Rate, 'g', -1, 64) + "/s"
	if key.Burst > 0 {
		text += ", burst " + strconv.Itoa(key.Burst)
	}
	return text
}

func expiryOf(key describedKey) string {
	if key.Expires == nil {
		return "never"
	}
	text := key.Expires.Format(time.RFC3339)
	if key.Expired {
		text += " (expired)"
	}
	return text
}
