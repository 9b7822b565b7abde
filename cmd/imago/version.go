package main

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"imago/adapters/onnx"
	"imago/config"
)

func versionCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built of and runs on",
		Long: "Prints the version of imago, the commit it was built of, the platform and compiler,\n" +
			"and the version of ONNX Runtime, where the library is found.",
		Example: "  imago version\n  imago version --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions(cmd)
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "imago %s %s %s\ncommit %s\nONNX Runtime %s\n",
				v.Version, v.Platform, v.Go, orUnknown(v.Commit), orUnknown(v.ONNXRuntime))
			return err
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

// versionResult is the result in JSON. What is not known is empty.
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

// revision is the commit that imago was built of: as the linker was told, or as
// the go command found out.
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

// onnxVersion is that of the library that `imago serve` would load. A
// configuration that is wrong is no reason not to tell the rest.
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

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}
