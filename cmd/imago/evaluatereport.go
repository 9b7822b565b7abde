package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"imago/adapters/evalreport"
	"imago/adapters/onnx"
	"imago/config"
	"imago/core/calibration"
	"imago/core/evaluation"
	"imago/ports"
)

// described is an evaluation that is done and has to be told.
type described struct {
	asked    assessment
	folder   evaluation.Folder
	failures []evaluation.Failure
	compared evaluation.Comparison
	models   onnx.Models
	watch    *stopwatch
	finished time.Time
}

func (d described) report() (*evalreport.Report, error) {
	c := d.compared
	r := &evalreport.Report{
		Version: version, Finished: d.finished, Folder: d.name(),
		Detector: d.models.Detector.Manifest.Name, Embedder: d.models.Embedder.Manifest.Name,
		People: c.People, Pictures: len(d.folder.Pictures), Evaluated: c.Templates,
		NoFace: d.lost(evaluation.NoFace, ""), Unusable: d.lost(evaluation.Unusable, ""), Refused: d.lost(evaluation.Refused, ""),
		NotEnrol:   share(evaluation.Proportion{Count: len(d.failures), Trials: len(d.folder.Pictures)}),
		MatedPairs: c.Pairs.Mated.Count(), StrangerPairs: c.Pairs.Strangers.Count(), RankOne: share(c.RankOne),
		Gallery: d.asked.gallery, SearchGallery: c.Templates - 1,
		Stages: d.watch.stages(),
	}
	r.Refused = share(evaluation.Proportion{Count: r.Refused.Count, Trials: c.Templates})
	proposed, err := d.propose(r)
	if err != nil {
		return nil, err
	}
	rows := rowMaker{c.Pairs, d.curve(), proposed}
	d.addRows(r, rows)
	d.addGroups(r, rows)
	d.addLists(r)
	d.addCharts(r)
	r.Warnings = d.warnings(r)
	return r, nil
}

func (d described) name() string {
	path, err := filepath.Abs(d.asked.dir)
	if err != nil {
		path = d.asked.dir
	}
	return filepath.Base(path)
}

// curve is that of the manifest.
func (d described) curve() calibration.Curve {
	c := d.models.Embedder.Manifest.Calibration
	return calibration.Curve{Midpoint: c.Midpoint, Steepness: c.Steepness}
}

// present is the threshold of 80 % by the curve of the manifest.
func (d described) present() evaluation.Threshold {
	return evaluation.AtLeast(d.curve().Cosine(evaluation.AnchorPercent))
}

// lost counts failures of a kind among the pictures of a group, or of all.
func (d described) lost(kind evaluation.FailureKind, group string) evalreport.Share {
	var p evaluation.Proportion
	for _, f := range d.failures {
		if f.Kind == kind && (group == "" || f.Group == group) {
			p.Count++
		}
	}
	for _, picture := range d.folder.Pictures {
		if group == "" || picture.Group == group {
			p.Trials++
		}
	}
	return share(p)
}

// propose adds the proposal to the report. It returns its curve, nil for none.
func (d described) propose(r *evalreport.Report) (*calibration.Curve, error) {
	p, err := evaluation.Propose(d.compared.Pairs)
	if errors.Is(err, evaluation.ErrUnfit) {
		r.NoProposal = err.Error()
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	stanza, err := d.stanza(p)
	if err != nil {
		return nil, err
	}
	r.Proposal = &evalreport.Proposal{
		Midpoint: p.Curve.Midpoint, Steepness: p.Curve.Steepness, Provisional: p.Provisional,
		At80: rowMaker{d.compared.Pairs, d.curve(), &p.Curve}.point(p.Anchor), Stanza: stanza,
	}
	return &p.Curve, nil
}

// stanza writes a proposal as the calibration of a manifest.
func (d described) stanza(p evaluation.Proposal) (string, error) {
	c := config.Calibration{
		Midpoint: p.Curve.Midpoint, Steepness: p.Curve.Steepness, Provisional: p.Provisional, Basis: d.basis(p),
	}
	for _, r := range p.Rates {
		c.FMR = append(c.FMR, config.ErrorRate{Cosine: r.Cosine, Rate: r.Rate})
	}
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := errors.Join(e.Encode(map[string]config.Calibration{"calibration": c}), e.Close())
	return b.String(), err
}

// basis says on which pictures the rates were measured.
func (d described) basis(p evaluation.Proposal) string {
	basis := fmt.Sprintf("%d pairs of strangers, of %d people in %d pictures of the folder %q; imago evaluate with the detector %s on %s.",
		d.compared.Pairs.Strangers.Count(), d.compared.People, d.compared.Templates, d.name(), d.models.Detector.Manifest.Name, d.finished.Format(time.DateOnly))
	if p.Provisional {
		basis += fmt.Sprintf(" The rate of 1 in 10,000 at cosine %.5f (95 %%: %.5f to %.5f) was not measured: it continues the highest scores as an exponential tail.",
			p.Anchor.Threshold.Cosine(), p.Anchor.Low.Cosine(), p.Anchor.High.Cosine())
	}
	return basis
}

func share(p evaluation.Proportion) evalreport.Share {
	low, high := p.Interval()
	return evalreport.Share{Count: p.Count, Trials: p.Trials, Rate: p.Rate(), Low: low, High: high}
}

// rowMaker turns thresholds into rows.
type rowMaker struct {
	pairs    evaluation.Tradeoff
	present  calibration.Curve
	proposed *calibration.Curve // nil for none
}

// point returns the row of a point.
func (m rowMaker) point(p evaluation.Point) evalreport.Row {
	r := evalreport.Row{Target: p.Target, Basis: string(p.Basis)}
	if p.Basis == evaluation.Unknown {
		return r
	}
	r.None = p.Threshold > evaluation.Highest
	r.Cosine, r.Low, r.High = p.Threshold.Cosine(), p.Low.Cosine(), p.High.Cosine()
	r.Percent = m.present.Percent(r.Cosine)
	if m.proposed != nil {
		r.Proposed = m.proposed.Percent(r.Cosine)
	}
	r.Estimate = p.Target
	r.False, r.Missed = share(p.FalseMatch), share(p.FalseNonMatch)
	return r
}

// at returns the row of a given threshold.
func (m rowMaker) at(t evaluation.Threshold) evalreport.Row {
	rate, basis := m.pairs.Estimate(t)
	// A given threshold is one even where nothing is known of its FMR.
	r := m.point(evaluation.Point{
		Basis: evaluation.Measured, Threshold: t, Low: t, High: t,
		FalseMatch: m.pairs.FalseMatch(t), FalseNonMatch: m.pairs.FalseNonMatch(t),
	})
	r.Basis, r.Estimate = string(basis), rate
	return r
}

func (d described) addRows(r *evalreport.Report, m rowMaker) {
	r.Present = m.at(d.present())
	for _, fmr := range d.asked.fmr {
		r.Verification = append(r.Verification, m.point(d.compared.Pairs.At(fmr)))
	}
	for _, fpir := range d.asked.fpir {
		fmr := evaluation.PerComparison(fpir, d.asked.gallery)
		r.Identification = append(r.Identification, evalreport.Identification{FPIR: fpir, Row: m.point(d.compared.Pairs.At(fmr))})
		r.Searches = append(r.Searches, m.point(d.compared.Searches.Counted(fpir)))
	}
}

func (d described) addGroups(r *evalreport.Report, m rowMaker) {
	for _, g := range d.compared.Groups {
		m.pairs = g.Pairs
		unusable, noFace := d.lost(evaluation.Unusable, g.Name), d.lost(evaluation.NoFace, g.Name)
		out := evalreport.Group{
			Name: g.Name, People: g.People, Evaluated: g.Templates, StrangerPairs: g.Pairs.Strangers.Count(),
			Lost:    share(evaluation.Proportion{Count: unusable.Count + noFace.Count, Trials: unusable.Trials}),
			RankOne: share(g.RankOne), Present: m.at(d.present()),
		}
		if r.Proposal != nil {
			proposed := m.at(evaluation.AtLeast(r.Proposal.At80.Cosine))
			out.Proposed = &proposed
		}
		r.Groups = append(r.Groups, out)
	}
}

// addLists adds failures and pairs by name.
func (d described) addLists(r *evalreport.Report) {
	for _, f := range append(d.failures, d.folder.PassedOver...) {
		r.Failures = append(r.Failures, evalreport.Failure{Path: f.Path, Kind: string(f.Kind), Reason: strings.Join(f.Reasons, "; ")})
	}
	named := func(pairs []evaluation.Pair) (all []evalreport.Pair) {
		for _, p := range pairs {
			all = append(all, evalreport.Pair{A: p.A.Path, B: p.B.Path, Cosine: p.Score, Percent: d.curve().Percent(p.Score)})
		}
		return all
	}
	r.Closest, r.Farthest = named(d.compared.Closest), named(d.compared.Farthest)
}

// warnings says what a reader must not overlook.
func (d described) warnings(r *evalreport.Report) (all []string) {
	all = untold(r.MatedPairs, r.StrangerPairs)
	if r.Proposal != nil && r.Proposal.Provisional {
		all = append(all, fmt.Sprintf("the proposal is provisional: %d pairs of strangers are too few to measure a false match rate of 1 in 10,000, so it is extrapolated; 300,000 measure it", r.StrangerPairs))
	}
	anchor := ports.Rate{Value: evaluation.AnchorRate}
	if r.Present.Basis == string(evaluation.Measured) && (r.Present.Estimate > 3*anchor.Value || r.Present.Estimate < anchor.Value/3) {
		all = append(all, fmt.Sprintf("on these pictures today's 80 %% stands for a false match rate of 1 in %.0f, not 1 in 10,000", 1/r.Present.Estimate))
	}
	if th, expected, contradicted := d.compared.Pairs.Contradicted(); contradicted {
		all = append(all, fmt.Sprintf("%d pairs of strangers reach cosine %.3f where the extrapolation expects %.1f: pictures may be in the wrong folders, look at the closest strangers in the report; until then trust no extrapolated figure",
			d.compared.Pairs.FalseMatch(th).Count, th.Cosine(), expected))
	}
	for _, g := range r.Groups {
		if g.Present.False.Low > r.Present.False.High {
			all = append(all, fmt.Sprintf("strangers within the group %q match more often than strangers overall: %d of %d at today's 80 %%", g.Name, g.Present.False.Count, g.Present.False.Trials))
		}
	}
	return all
}
