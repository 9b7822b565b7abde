package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imago/adapters/evalreport"
	"imago/config"
	"imago/config/regularfile"
	"imago/core/evaluation"
)

// maxGallery bounds the gallery that rates are stated for.
const maxGallery = 1_000_000_000

// assessment is what the command line of `imago evaluate` says.
type assessment struct {
	dir, out, format, groups string
	gallery, workers         int
	fmr, fpir                []float64
}

func evaluateCommand() *cobra.Command {
	var a assessment
	cmd := &cobra.Command{
		Use:   "evaluate DIR",
		Short: "Measure error rates on labelled pictures",
		Long: "Compares every picture of DIR/person/picture, or DIR/group/person/picture, with\n" +
			"every other one by the configured models, and reports: how often the right person\n" +
			"comes first (rank-1); the threshold for each false match rate (FMR) and what it\n" +
			"costs in false non-matches (FNMR); the same for searches among a gallery of a given\n" +
			"size (FPIR, FNIR); figures within each group; failures; the time of each stage. It\n" +
			"proposes a calibration for the model's manifest, provisional where the pairs are\n" +
			"too few to measure a false match rate of 1 in 10,000 (300,000 pairs of strangers\n" +
			"are enough, as 775 people with a picture each make). People with a picture each\n" +
			"tell false match rates and a calibration, several pictures of one person how often\n" +
			"that person is missed; what cannot be told is said before the work begins.\n\n" +
			"No store is needed and nothing is enrolled. Files that are there are replaced:\n" +
			"report.html, scores.png, det.png, rates.png, evaluation.json, and calibration.yaml\n" +
			"where there is a proposal. They name pictures, so only you may read them.\n\n" +
			"Exit code 0 means that every picture was evaluated, 3 that it is done but for files\n" +
			"that are listed with reasons, 1 that it failed.",
		Example: "  imago evaluate pictures/\n" +
			"  imago evaluate --gallery 50000 --fpir 0.01 --out results --format json pictures/ > summary.json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.dir = args[0]
			return a.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.out, "out", "evaluation", "folder for the results; outside DIR")
	f.IntVar(&a.gallery, "gallery", 10_000, "people in the gallery that search errors are stated for")
	f.Float64SliceVar(&a.fmr, "fmr", []float64{1e-2, 1e-3, 1e-4, 1e-5, 1e-6}, "false match rates to give thresholds for")
	f.Float64SliceVar(&a.fpir, "fpir", []float64{0.1, 0.01, 0.001}, "false positive identification rates to give thresholds for")
	f.IntVar(&a.workers, "workers", 0, "pictures worked on at once (default inference.workers)")
	formatFlag(cmd, &a.format)
	chooseFlag(cmd, &a.groups, "groups", []string{string(evaluation.GroupsAuto), string(evaluation.GroupsYes), string(evaluation.GroupsNo)},
		"whether the folders in DIR are groups of people")
	completeFlag(cmd, "out", folders)
	cmd.ValidArgsFunction = first(folders)
	return cmd
}

func (a assessment) run(cmd *cobra.Command) error {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return usageError{err}
	}
	root, err := regularfile.OpenRoot(a.dir)
	if err != nil {
		return usageError{err}
	}
	defer root.Close()
	folder, err := evaluation.Find(root.FS(), evaluation.Grouping(a.groups))
	if err != nil {
		return fmt.Errorf("%s: %w", a.dir, err)
	}
	switch len(folder.Pictures) {
	case 0:
		return usageError{fmt.Errorf("%s has no folders of pictures: DIR/person/picture or DIR/group/person/picture is expected", a.dir)}
	case 1:
		return usageError{fmt.Errorf("%s has one picture: pictures are compared, so at least two are needed", a.dir)}
	}
	mated, strangers := folder.Pairs()
	for _, s := range append(untold(mated, strangers), unproposed(strangers)...) {
		fmt.Fprintln(cmd.ErrOrStderr(), "note:", s)
	}
	if err := os.MkdirAll(a.out, 0o700); err != nil {
		return usageError{err}
	}
	report, err := a.evaluate(cmd.Context(), cfg, root.FS(), folder)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted; nothing was written: %w", err)
	}
	if err != nil {
		return err
	}
	return a.deliver(cmd, report)
}

// untold says what pictures that make so many pairs cannot tell.
func untold(mated, strangers int) (all []string) {
	if mated == 0 {
		all = append(all, "no person has two pictures: false match rates can be told, but not how often the right person is missed (FNMR, FNIR) or comes first (rank-1)")
	}
	if strangers == 0 {
		all = append(all, "all pictures show one person: how often that person is missed at today's 80 % can be told, but no false match rate, no threshold for one and no calibration")
	}
	return all
}

// unproposed says so where a calibration cannot be proposed.
func unproposed(strangers int) []string {
	if strangers == 0 || strangers >= evaluation.FewestStrangers {
		return nil
	}
	return []string{fmt.Sprintf("%d pairs of strangers are too few for a calibration: it takes %d to guess one and %d to measure it",
		strangers, evaluation.FewestStrangers, evaluation.MeasuringStrangers)}
}

// check refuses what cannot be meant.
func (a assessment) check() error {
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
	switch {
	case a.gallery < 1 || a.gallery > maxGallery:
		return fmt.Errorf("--gallery must be 1 to %d", maxGallery)
	case a.workers < 0 || a.workers > 1024:
		return errors.New("--workers must be 1 to 1024")
	}
	return a.outside()
}

// outside makes sure that the results of one run are not the pictures of the
// next.
func (a assessment) outside() error {
	dir, err := filepath.Abs(a.dir)
	if err != nil {
		return err
	}
	out, err := filepath.Abs(a.out)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(dir, out); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fmt.Errorf("--out: %s lies in the folder of the pictures; name another one", a.out)
	}
	return nil
}

// evaluate runs the pipeline over the pictures and compares what comes out.
func (a assessment) evaluate(ctx context.Context, cfg config.Config, fsys fs.FS, folder evaluation.Folder) (*evalreport.Report, error) {
	models, err := findModels(cfg.Models)
	if err != nil {
		return nil, err
	}
	cfg.Inference.Workers = cmp.Or(a.workers, cfg.Inference.Workers, runtime.GOMAXPROCS(0))
	watch := &stopwatch{}
	x, stop, err := openExtractor(ctx, cfg, models, watch)
	if err != nil {
		return nil, fmt.Errorf("cannot start: %w", err)
	}
	bar := newProgressOf("evaluate", "pictures")
	templates, failures, err := evaluation.Extract(ctx, fsys, folder.Pictures, x, evaluation.Options{
		Workers: cfg.Inference.Workers, ImageBytes: cfg.Server.Limits.ImageBytes, Gate: gate(cfg.Quality),
		Progress: func(done int) { bar.show(done, len(folder.Pictures)) },
	})
	bar.close()
	if err := errors.Join(err, stop()); err != nil {
		return nil, err
	}
	n := len(templates)
	if n < 2 {
		return nil, fmt.Errorf("%d of %d pictures have a face: pictures are compared, so at least two are needed", n, len(folder.Pictures))
	}
	bar = newProgressOf("compare", "pairs")
	defer bar.close()
	compared, err := evaluation.Compare(ctx, templates, cfg.Inference.Workers, func(pairs int) { bar.show(pairs, n*(n-1)/2) })
	if err != nil {
		return nil, err
	}
	d := described{a, folder, failures, compared, models, watch, time.Now().UTC()}
	return d.report()
}

// deliver writes the files and prints the summary.
func (a assessment) deliver(cmd *cobra.Command, r *evalreport.Report) error {
	if err := a.writeFiles(r); err != nil {
		return err
	}
	for i, f := range r.Failures {
		if i == shownRefusals {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d more in %s\n", len(r.Failures)-i, filepath.Join(a.out, "report.html"))
			break
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %q: %s\n", f.Kind, f.Path, f.Reason)
	}
	print := r.Text
	if a.format == "json" {
		print = r.JSON
	}
	if err := print(cmd.OutOrStdout()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "the report is %s\n", filepath.Join(a.out, "report.html"))
	if lost := lostFiles(r.Failures); lost > 0 {
		return partialError{fmt.Errorf("%d files were not evaluated", lost)}
	}
	return nil
}

// lostFiles counts the failures that left a file out.
func lostFiles(failures []evalreport.Failure) (lost int) {
	for _, f := range failures {
		if f.Kind != string(evaluation.Refused) {
			lost++
		}
	}
	return lost
}

func (a assessment) writeFiles(r *evalreport.Report) error {
	write := func(name string, content func(io.Writer) error) error {
		file, err := regularfile.OpenFile(filepath.Join(a.out, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		return errors.Join(content(file), file.Close())
	}
	// What an earlier run wrote would be taken for this run's.
	remove := func(name string) error {
		err := os.Remove(filepath.Join(a.out, name))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}
	for _, c := range evalreport.AllCharts() {
		err := remove(c.Name + ".png")
		if r.Shows(c) {
			err = write(c.Name+".png", func(w io.Writer) error { return r.PNG(w, c) })
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(write("report.html", r.HTML), write("evaluation.json", r.JSON)); err != nil {
		return err
	}
	const stanza = "calibration.yaml"
	if r.Proposal == nil {
		return remove(stanza)
	}
	return write(stanza, func(w io.Writer) error {
		_, err := io.WriteString(w, r.Proposal.Stanza)
		return err
	})
}
