package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"imago/adapters/onnx"
	"imago/cmd/imago/cli"
	"imago/config"
)

func versionCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built of and runs on",
		Long: "Prints the version of imago, its commit, the platform and compiler, and the version of\n" +
			"ONNX Runtime, if the library is found.",
		Example: "  imago version\n  imago version --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions(cmd)
			return cli.Print(cmd.OutOrStdout(), format, v, fmt.Sprintf("imago %s %s %s\ncommit %s\nONNX Runtime %s\n",
				v.Version, v.Platform, v.Go, cmp.Or(v.Commit, "unknown"), cmp.Or(v.ONNXRuntime, "unknown")))
		},
	}
	cli.FormatFlag(cmd, &format)
	return cmd
}

// versionResult is the result in JSON. Unknown values are empty.
type versionResult struct {
	Version     string `json:"version"`
	Commit      string `json:"commit"`
	Platform    string `json:"platform"`
	Go          string `json:"go"`
	ONNXRuntime string `json:"onnxruntime"`
}

func versions(cmd *cobra.Command) versionResult {
	return versionResult{version, revision(), runtime.GOOS + "/" + runtime.GOARCH, runtime.Version(), onnxVersion(cmd)}
}

// revision is the commit that imago was built from, set by the linker or recorded by
// the go command.
func revision() string {
	if commit != "" {
		return commit
	}
	built, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range built.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// onnxVersion is that of the library that `imago serve` would load. With a wrong
// configuration it looks in the default places.
func onnxVersion(cmd *cobra.Command) string {
	cfg, err := loadConfig(cmd)
	if err != nil {
		cfg = config.Default()
	}
	r := onnx.NewRuntime(cfg.Inference, slog.New(slog.DiscardHandler))
	if err := r.Start(cmd.Context()); err != nil {
		return ""
	}
	defer r.Close(cmd.Context())
	return r.Version()
}
