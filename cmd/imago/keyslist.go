package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imago/adapters/apikey"
	"imago/cmd/imago/cli"
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
		Long: "Lists the clients in the file of auth.keys_file with their scopes, limits and expiry.\n" +
			"A client with several keys has a line for each. The fingerprint is the beginning of a\n" +
			"key's SHA-256; the keys are not stored anywhere. Collections that the configuration does\n" +
			"not have are warned of.",
		Example: "  imago keys list --config config/memory.yaml",
		Args:    cobra.NoArgs,
		RunE: withConfig(func(cmd *cobra.Command, _ []string, cfg config.Config) error {
			keys, err := readKeys(cfg.Auth, os.Getenv("IMAGO_API_KEY") != "")
			if err != nil {
				return err
			}
			for _, warning := range unknownCollections(keys.Keys, cfg) {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
			}
			return listKeys(cmd.OutOrStdout(), keys, cfg.Auth, os.Getenv("IMAGO_API_KEY") != "", time.Now(), format)
		}),
	}
	cli.FormatFlag(cmd, &format)
	return cmd
}

// listKeys prints all keys.
func listKeys(out io.Writer, keys config.Keys, auth config.Auth, environment bool, now time.Time, format string) error {
	list := keyInfos(keys, auth, environment, now)
	return cli.Print(out, format, list, keysText(list))
}

// readKeys reads the keys file, where there is one.
func readKeys(auth config.Auth, environment bool) (config.Keys, error) {
	if auth.KeysFile == "" {
		if !environment {
			return config.Keys{}, cli.Usagef("no keys are configured: set auth.keys_file or IMAGO_API_KEY")
		}
		return config.Keys{}, nil
	}
	keys, err := config.LoadKeys(auth.KeysFile)
	if err != nil {
		return config.Keys{}, cli.Usage(err)
	}
	return keys, nil
}

// keyInfo is what is shown of a key.
type keyInfo struct {
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

// keyInfos describes the keys, that of the environment first.
func keyInfos(keys config.Keys, auth config.Auth, environment bool, now time.Time) []keyInfo {
	list := []keyInfo{}
	if environment {
		list = append(list, keyInfo{
			Name: apikey.EnvironmentClient, Collections: []string{config.All}, Operations: []string{config.All}, Rate: auth.Rate, Burst: auth.Burst,
		})
	}
	for _, key := range keys.Keys {
		one := keyInfo{Name: key.Name, Collections: key.Collections, Operations: key.Operations, MinThreshold: key.MinThreshold}
		one.Rate, one.Burst = key.Limit(auth)
		for _, h := range key.SHA256 {
			one.Fingerprint = h.Hash[:shownHash]
			if one.Expires, one.Expired = nil, false; !key.Until(h).IsZero() {
				until := key.Until(h)
				one.Expires, one.Expired = &until, !now.Before(until)
			}
			list = append(list, one)
		}
	}
	return list
}

// keysText returns a table of the keys.
func keysText(list []keyInfo) string {
	rows := []string{"NAME\tFINGERPRINT\tCOLLECTIONS\tOPERATIONS\tRATE\tEXPIRES"}
	for _, key := range list {
		rows = append(rows, strings.Join([]string{
			key.Name, cmp.Or(key.Fingerprint, "(IMAGO_API_KEY)"), strings.Join(key.Collections, ","),
			strings.Join(key.Operations, ",") + minThresholdText(key), rateText(key), expiryText(key),
		}, "\t"))
	}
	return cli.Table(rows)
}

// minThresholdText is the lowest threshold of a key, "" for any.
func minThresholdText(key keyInfo) string {
	if key.MinThreshold == 0 {
		return ""
	}
	return fmt.Sprintf(" (search from %g %%)", key.MinThreshold)
}

// rateText is the limit that holds for a key, as in "5/s, burst 10".
func rateText(key keyInfo) string {
	if key.Rate == 0 {
		return "any"
	}
	if key.Burst == 0 {
		return fmt.Sprintf("%g/s", key.Rate)
	}
	return fmt.Sprintf("%g/s, burst %d", key.Rate, key.Burst)
}

func expiryText(key keyInfo) string {
	if key.Expires == nil {
		return "never"
	}
	if key.Expired {
		return key.Expires.Format(time.RFC3339) + " (expired)"
	}
	return key.Expires.Format(time.RFC3339)
}
