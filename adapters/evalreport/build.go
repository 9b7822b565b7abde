package evalreport

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"imago/config"
	"imago/core/calibration"
	"imago/core/evaluation"
)

// Run is an evaluation that is done.
type Run struct {
	Version  string // of imago
	Finished time.Time
	Detector string // its name
	Embedder config.Manifest
	// Name is that of the folder, without its path, and Folder what was found in it.
	Name     string
	Folder   evaluation.Folder
	Failures []evaluation.Failure
	Compared evaluation.Comparison
	// Gallery is how many people search errors are stated for; thresholds are given
	// for each FMR, and for each FPIR among such a gallery.
	Gallery   int
	FMR, FPIR []float64
	Stages    []Stage
}

// New describes a run. The error is that of a calibration that cannot be written.
func New(run Run) (*Report, error) {
	c := run.Compared
	r := &Report{
		Version: run.Version, Finished: run.Finished, Folder: run.Name, Detector: run.Detector, Embedder: run.Embedder.Name,
		People: c.People, Pictures: len(run.Folder.Pictures), Evaluated: c.Templates,
		NoFace: run.lost(evaluation.NoFace, ""), Unusable: run.lost(evaluation.Unusable, ""),
		Refused:    Share{Count: run.lost(evaluation.Refused, "").Count, Trials: c.Templates},
		NotEnrol:   Share{Count: len(run.Failures), Trials: len(run.Folder.Pictures)},
		MatedPairs: c.Pairs.Mated.Count(), StrangerPairs: c.Pairs.Strangers.Count(), RankOne: Share(c.RankOne),
		Gallery: run.Gallery, SearchGallery: c.Templates - 1,
		Stages: run.Stages,
	}
	if err := run.addProposal(r); err != nil {
		return nil, err
	}
	run.addDecision(r)
	run.addThresholds(r)
	run.addGroups(r)
	run.addNames(r)
	r.curves = newCurves(c, r)
	r.Warnings = run.warnings(r)
	return r, nil
}

// curve is that of the manifest.
func (run Run) curve() calibration.Curve {
	return calibration.Curve{Midpoint: run.Embedder.Calibration.Midpoint, Steepness: run.Embedder.Calibration.Steepness}
}

// lost counts failures of a kind among the pictures of a group, or of all.
func (run Run) lost(kind evaluation.FailureKind, group string) (s Share) {
	for _, f := range run.Failures {
		if f.Kind == kind && (group == "" || f.Group == group) {
			s.Count++
		}
	}
	for _, picture := range run.Folder.Pictures {
		if group == "" || picture.Group == group {
			s.Trials++
		}
	}
	return s
}

// addProposal adds the proposal, or why there is none.
func (run Run) addProposal(r *Report) error {
	p, err := evaluation.Propose(run.Compared.Pairs)
	if errors.Is(err, evaluation.ErrUnfit) {
		r.NoProposal = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	stanza, err := run.stanza(p)
	if err != nil {
		return err
	}
	r.Proposal = &Proposal{Midpoint: p.Curve.Midpoint, Steepness: p.Curve.Steepness, Provisional: p.Provisional, Stanza: stanza}
	r.Proposal.At80 = run.row(r, p.Anchor)
	return nil
}

// stanza writes a proposal as the calibration of a manifest.
func (run Run) stanza(p evaluation.Proposal) (string, error) {
	c := config.Calibration{
		Midpoint: p.Curve.Midpoint, Steepness: p.Curve.Steepness, Provisional: p.Provisional, Basis: run.basis(p),
	}
	for _, point := range p.Rates {
		c.FMR = append(c.FMR, config.ErrorRate(point))
	}
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := errors.Join(e.Encode(map[string]config.Calibration{"calibration": c}), e.Close())
	return b.String(), err
}

// basis says on which pictures the rates were measured.
func (run Run) basis(p evaluation.Proposal) string {
	basis := fmt.Sprintf("%d pairs of strangers, of %d people in %d pictures of the folder %q; imago evaluate with the detector %s on %s.",
		run.Compared.Pairs.Strangers.Count(), run.Compared.People, run.Compared.Templates, run.Name, run.Detector, run.Finished.Format(time.DateOnly))
	if p.Provisional {
		basis += fmt.Sprintf(" The rate of 1 in 10,000 at cosine %.5f (95 %%: %.5f to %.5f) was not measured: it continues the highest scores as an exponential tail.",
			p.Anchor.Threshold.Cosine(), p.Anchor.Low.Cosine(), p.Anchor.High.Cosine())
	}
	return basis
}

// row describes the threshold of a wanted rate.
func (run Run) row(r *Report, p evaluation.Point) Row {
	row := Row{Target: p.Target, Basis: p.Basis}
	if p.Basis == evaluation.Unknown {
		return row
	}
	row.None = p.Threshold > evaluation.Highest
	row.Cosine, row.Low, row.High = p.Threshold.Cosine(), p.Low.Cosine(), p.High.Cosine()
	row.Percent = run.curve().Percent(row.Cosine)
	if r.Proposal != nil {
		row.Proposed = calibration.Curve{Midpoint: r.Proposal.Midpoint, Steepness: r.Proposal.Steepness}.Percent(row.Cosine)
	}
	row.Estimate = p.Target
	row.False, row.Missed = Share(p.FalseMatch), Share(p.FalseNonMatch)
	return row
}

// rowAt describes a given threshold, also where its FMR is unknown.
func (run Run) rowAt(r *Report, pairs evaluation.Tradeoff, cosine float64) Row {
	th := evaluation.AtLeast(cosine)
	row := run.row(r, evaluation.Point{
		Basis: evaluation.Measured, Threshold: th, Low: th, High: th, FalseMatch: pairs.FalseMatch(th), FalseNonMatch: pairs.FalseNonMatch(th),
	})
	row.Estimate, row.Basis = pairs.Estimate(th)
	return row
}

func (run Run) addThresholds(r *Report) {
	pairs := run.Compared.Pairs
	r.Present = run.rowAt(r, pairs, run.curve().Cosine(evaluation.AnchorPercent))
	for _, fmr := range run.FMR {
		r.Verification = append(r.Verification, run.row(r, pairs.At(fmr)))
	}
	for _, fpir := range run.FPIR {
		fmr := evaluation.PerComparison(fpir, run.Gallery)
		r.Identification = append(r.Identification, Identification{FPIR: fpir, Row: run.row(r, pairs.At(fmr))})
		r.Searches = append(r.Searches, run.row(r, run.Compared.Searches.Counted(fpir)))
	}
}

func (run Run) addGroups(r *Report) {
	for _, g := range run.Compared.Groups {
		lost := run.lost(evaluation.Unusable, g.Name)
		lost.Count += run.lost(evaluation.NoFace, g.Name).Count
		out := Group{
			Name: g.Name, People: g.People, Evaluated: g.Templates, StrangerPairs: g.Pairs.Strangers.Count(),
			Lost: lost, RankOne: Share(g.RankOne), Present: run.rowAt(r, g.Pairs, run.curve().Cosine(evaluation.AnchorPercent)),
		}
		if r.Proposal != nil {
			proposed := run.rowAt(r, g.Pairs, r.Proposal.At80.Cosine)
			out.Proposed = &proposed
		}
		r.Groups = append(r.Groups, out)
	}
}

// addNames adds failures and pairs by the names of their files.
func (run Run) addNames(r *Report) {
	for _, f := range append(run.Failures, run.Folder.PassedOver...) {
		r.Failures = append(r.Failures, Failure{Path: f.Path, Kind: f.Kind, Reason: strings.Join(f.Reasons, "; ")})
	}
	named := func(pairs []evaluation.Pair) (all []Pair) {
		for _, p := range pairs {
			all = append(all, Pair{A: p.A.Path, B: p.B.Path, Cosine: p.Score, Percent: run.curve().Percent(p.Score)})
		}
		return all
	}
	r.Closest, r.Farthest = named(run.Compared.Closest), named(run.Compared.Farthest)
}

// warnings returns what a reader must know before using the figures.
func (run Run) warnings(r *Report) (all []string) {
	all = unknown(r.MatedPairs, r.StrangerPairs)
	if r.Proposal != nil && r.Proposal.Provisional {
		all = append(all, fmt.Sprintf("the proposal is provisional: %d pairs of strangers are too few to measure a false match rate of 1 in 10,000, so it is extrapolated; 300,000 measure it", r.StrangerPairs))
	}
	const anchor = evaluation.AnchorRate
	if e := r.Present.Estimate; r.Present.Basis == evaluation.Measured && (e > 3*anchor || e < anchor/3) {
		all = append(all, fmt.Sprintf("on these pictures today's 80 %% stands for a false match rate of 1 in %.0f, not 1 in 10,000", 1/e))
	}
	if th, expected, contradicted := run.Compared.Pairs.Contradicted(); contradicted {
		all = append(all, fmt.Sprintf("%d pairs of strangers reach cosine %.3f where the extrapolation expects %.1f: pictures may be in the wrong folders, look at the closest strangers in the report; until then trust no extrapolated figure",
			run.Compared.Pairs.FalseMatch(th).Count, th.Cosine(), expected))
	}
	_, overall := r.Present.False.interval()
	for _, g := range r.Groups {
		if low, _ := g.Present.False.interval(); low > overall {
			all = append(all, fmt.Sprintf("strangers within the group %q match more often than strangers overall: %d of %d at today's 80 %%", g.Name, g.Present.False.Count, g.Present.False.Trials))
		}
	}
	return all
}

// Notes returns the figures that so many pairs cannot give, before an evaluation.
func Notes(mated, strangers int) []string {
	all := unknown(mated, strangers)
	if strangers > 0 && strangers < evaluation.FewestStrangers {
		all = append(all, fmt.Sprintf("%d pairs of strangers are too few for a calibration: it takes %d to guess one and %d to measure it",
			strangers, evaluation.FewestStrangers, evaluation.MeasuringStrangers))
	}
	return all
}

// unknown returns the figures that so many pairs cannot give.
func unknown(mated, strangers int) (all []string) {
	if mated == 0 {
		all = append(all, "no person has two pictures: false match rates can be told, but not how often the right person is missed (FNMR, FNIR) or comes first (rank-1)")
	}
	if strangers == 0 {
		all = append(all, "all pictures show one person: how often that person is missed at today's 80 % can be told, but no false match rate, no threshold for one and no calibration")
	}
	return all
}
