package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"imago/adapters/evalreport"
	"imago/cmd/imago/cli"
	"imago/config"
	"imago/config/regularfile"
	"imago/core/evaluation"
)

// maxGallery bounds the gallery that rates are stated for.
const maxGallery = 1_000_000_000

// evaluateFlags is what the command line of `imago evaluate` says.
type evaluateFlags struct {
	dir, out, format, groups string
	gallery, workers         int
	fmr, fpir                []float64
}

func evaluateCommand() *cobra.Command {
	var a evaluateFlags
	cmd := &cobra.Command{
		Use:   "evaluate DIR",
		Short: "Measure error rates on labelled pictures",
		Long: "Compares every picture of DIR/person/picture, or DIR/group/person/picture, with every\n" +
			"other one by the configured models, and reports: in one sentence whether a gallery of\n" +
			"--gallery people is usable, and what to do next; how often the right person comes first\n" +
			"(rank-1); the threshold for each false match rate (FMR) with its false non-match rate\n" +
			"(FNMR); the same for searches in a gallery of a given size (FPIR, FNIR); figures of each\n" +
			"group; failures; the time of each stage. It proposes a calibration for the model's\n" +
			"manifest, provisional where the pairs are too few to measure a false match rate of 1 in\n" +
			"10,000 (300,000 pairs of strangers are enough: 775 people with one picture each). For\n" +
			"false match rates one picture of each person is enough; false non-match rates need\n" +
			"several. What cannot be measured is reported before the work begins.\n\n" +
			"It needs no store and enrols nothing. It replaces report.html, scores.png, det.png,\n" +
			"rates.png, evaluation.json, and calibration.yaml if there is a proposal. They name\n" +
			"pictures, so only you may read them.\n\n" +
			"Exit code 0 means that every picture was evaluated, 3 that some files were skipped, with\n" +
			"reasons, 1 that it failed.",
		Example: "  imago evaluate pictures/\n" +
			"  imago evaluate --gallery 50000 --fpir 0.01 --out results --format json pictures/ > summary.json",
		Args: cobra.ExactArgs(1),
		RunE: withConfig(func(cmd *cobra.Command, args []string, cfg config.Config) error {
			a.dir = args[0]
			return a.run(cmd, cfg)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&a.out, "out", "evaluation", "folder for the results; outside DIR")
	f.IntVar(&a.gallery, "gallery", 10_000, "people in the gallery that search errors are stated for")
	f.Float64SliceVar(&a.fmr, "fmr", []float64{1e-2, 1e-3, 1e-4, 1e-5, 1e-6}, "false match rates to give thresholds for")
	f.Float64SliceVar(&a.fpir, "fpir", []float64{0.1, 0.01, 0.001}, "false positive identification rates to give thresholds for")
	f.IntVar(&a.workers, "workers", 0, "pictures processed at a time (default inference.workers)")
	cli.FormatFlag(cmd, &a.format)
	cli.EnumFlag(cmd, &a.groups, "groups", []string{string(evaluation.GroupsAuto), string(evaluation.GroupsYes), string(evaluation.GroupsNo)},
		"whether the folders in DIR are groups of people")
	cli.CompleteFlag(cmd, "out", cli.Folders())
	cmd.ValidArgsFunction = cli.FirstArgument(cli.Folders())
	return cmd
}

func (a evaluateFlags) run(cmd *cobra.Command, cfg config.Config) error {
	if err := a.check(); err != nil {
		return cli.Usage(err)
	}
	root, err := regularfile.OpenRoot(a.dir)
	if err != nil {
		return cli.Usage(err)
	}
	defer root.Close()
	folder, err := evaluation.Find(root.FS(), evaluation.Grouping(a.groups))
	if err != nil {
		return fmt.Errorf("%s: %w", a.dir, err)
	}
	switch len(folder.Pictures) {
	case 0:
		return cli.Usagef("%s has no folders of pictures: DIR/person/picture or DIR/group/person/picture is expected", a.dir)
	case 1:
		return cli.Usagef("%s has one picture: pictures are compared, so at least two are needed", a.dir)
	}
	mated, strangers := folder.Pairs()
	for _, note := range evalreport.Notes(mated, strangers) {
		fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
	}
	if err := os.MkdirAll(a.out, 0o700); err != nil {
		return cli.Usage(err)
	}
	report, err := a.evaluate(cmd.Context(), cfg, root.FS(), folder)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted; nothing was written: %w", err)
	}
	if err != nil {
		return err
	}
	return a.writeResults(cmd, report)
}

// check validates the flags.
func (a evaluateFlags) check() error {
	for name, rates := range map[string][]float64{"fmr": a.fmr, "fpir": a.fpir} {
		if len(rates) > 20 {
			return fmt.Errorf("--%s: at most 20 rates", name)
		}
		for _, r := range rates {
			if !(r > 0 && r < 1) {
				return fmt.Errorf("--%s: %v is not between 0 and 1", name, r)
			}
		}
	}
	if a.gallery < 1 || a.gallery > maxGallery {
		return fmt.Errorf("--gallery must be 1 to %d", maxGallery)
	}
	// Otherwise the charts would be pictures of the next run.
	if rel, err := filepath.Rel(absolutePath(a.dir), absolutePath(a.out)); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("--out: %s lies in the folder of the pictures; name another one", a.out)
	}
	return checkWorkers(a.workers, 0)
}

// evaluate runs the pipeline over the pictures and compares what comes out.
func (a evaluateFlags) evaluate(ctx context.Context, cfg config.Config, fsys fs.FS, folder evaluation.Folder) (*evalreport.Report, error) {
	models, err := findModels(cfg.Models)
	if err != nil {
		return nil, err
	}
	cfg.Inference.Workers = cmp.Or(a.workers, cfg.Inference.Workers, runtime.GOMAXPROCS(0))
	timer := &stageTimer{}
	x, app, err := startExtractor(ctx, cfg, models, timer)
	if err != nil {
		return nil, fmt.Errorf("cannot start: %w", err)
	}
	bar := cli.NewProgress("evaluate", "pictures")
	templates, failures, err := evaluation.Extract(ctx, fsys, folder.Pictures, x, evaluation.Options{
		Workers: cfg.Inference.Workers, ImageBytes: cfg.Server.Limits.ImageBytes, Gate: gate(cfg.Quality),
		Progress: func(done int) { bar.Show(done, len(folder.Pictures)) },
	})
	bar.Close()
	if err := errors.Join(err, stop(ctx, app, closeTimeout)); err != nil {
		return nil, err
	}
	n := len(templates)
	if n < 2 {
		return nil, fmt.Errorf("%d of %d pictures have a face: pictures are compared, so at least two are needed", n, len(folder.Pictures))
	}
	bar = cli.NewProgress("compare", "pairs")
	defer bar.Close()
	compared, err := evaluation.Compare(ctx, templates, cfg.Inference.Workers, func(pairs int) { bar.Show(pairs, n*(n-1)/2) })
	if err != nil {
		return nil, err
	}
	return evalreport.New(evalreport.Run{
		Version: version, Finished: time.Now().UTC(), Name: filepath.Base(absolutePath(a.dir)),
		Detector: models.Detector.Manifest.Name, Embedder: models.Embedder.Manifest,
		Folder: folder, Failures: failures, Compared: compared,
		Gallery: a.gallery, FMR: a.fmr, FPIR: a.fpir, Stages: timer.stages(),
	})
}

// writeResults writes the files and prints the summary.
func (a evaluateFlags) writeResults(cmd *cobra.Command, r *evalreport.Report) error {
	if err := a.writeFiles(r); err != nil {
		return err
	}
	for i, f := range r.Failures {
		if i == maxShownRefusals {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d more in %s\n", len(r.Failures)-i, filepath.Join(a.out, "report.html"))
			break
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %q: %s\n", f.Kind, f.Path, f.Reason)
	}
	if err := cli.Print(cmd.OutOrStdout(), a.format, r, r.Text()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "the report is %s\n", filepath.Join(a.out, "report.html"))
	skipped := 0
	for _, f := range r.Failures {
		if f.Kind != evaluation.Refused {
			skipped++
		}
	}
	if skipped > 0 {
		return cli.Partialf("%d files were not evaluated", skipped)
	}
	return nil
}

// writeFiles writes the files of a report, and removes those of an earlier run that
// would be taken for this run's.
func (a evaluateFlags) writeFiles(r *evalreport.Report) error {
	for _, f := range r.Files() {
		path := filepath.Join(a.out, f.Name)
		if f.Write == nil {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		file, err := regularfile.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Write(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
