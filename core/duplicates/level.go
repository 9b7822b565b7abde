package duplicates

import (
	"context"
	"math"
	"slices"
	"sync"

	"imago/ports"
)

const (
	// sampleFaces is how many faces the level of a gallery is measured on.
	sampleFaces = 2000
	// fewestMatches measure a rate: the rule of thirty, see core/evaluation.
	fewestMatches = 30
	// usual is the part of the sample that counts as it is. A face with more matches than
	// those counts as having as many, so that hubs and people who are enrolled twice,
	// while they are few, change little.
	usual = 0.95
	// enoughMatched is the part of the sample that has a match where a level counts at once:
	// several times as many as are enrolled twice, in a gallery of use. From a lower score the
	// exponential fall to the threshold is longer, and with it the error, upwards.
	enoughMatched = 0.25
	// levelSteps is how many times as many users the network's rates give a face at each lower
	// score that is tried: three scores below mostMatches.
	levelSteps = 10
)

// measure measures the level of a direction on a sample: at the score where the rates of the
// network give a face hubUsers and, where the strangers of the gallery are less similar than
// that, at lower ones, until a quarter of the sample resembles somebody. A level of few
// matches would be that of the people who are enrolled twice; with none at all, the rates alone
// would put the threshold of a large gallery above what pictures of one person reach.
func (f *finder) measure(ctx context.Context, d *direction) error {
	var found *Level
	last := 1.0
	for users := float64(hubUsers); users < mostMatches; users *= levelSteps {
		cosine := f.chanceCosine(d, users)
		if cosine >= last {
			break
		}
		scores, err := f.sample(ctx, d, cosine)
		if err != nil {
			return err
		}
		if level := f.levelOf(d, cosine, scores); level != nil {
			found = level
		}
		if matched(scores) >= enoughMatched {
			break
		}
		last = cosine
	}
	d.level = found
	return nil
}

// matched returns the part of a sample that has a match.
func matched(scores [][]float64) float64 {
	n := 0
	for _, of := range scores {
		if len(of) > 0 {
			n++
		}
	}
	return float64(n) / max(1, float64(len(scores)))
}

// sample returns the scores of the matches of faces that are spread evenly over the users.
func (f *finder) sample(ctx context.Context, d *direction, cosine float64) (scores [][]float64, err error) {
	var mu sync.Mutex
	users := f.report.Size.Users
	if d.from == f.report.Against {
		users = f.report.Other.Users
	}
	step, at := max(1, users/sampleFaces), -1
	pick := func(faces []ports.Record) bool { at++; return at%step == 0 }
	err = f.eachUser(ctx, d.from, pick, func(ctx context.Context, faces []ports.Record) error {
		matches, err := f.search(ctx, d, faces[0], cosine)
		if err != nil {
			return err
		}
		var of []float64
		for _, m := range matches {
			of = append(of, m.Score)
		}
		mu.Lock()
		defer mu.Unlock()
		scores = append(scores, of)
		return nil
	})
	return scores, err
}

// levelOf returns the level of a sample, nil if its matches are too few.
func (f *finder) levelOf(d *direction, cosine float64, scores [][]float64) *Level {
	model, known := modelRate(f.options.Rates, cosine)
	compared := float64(len(scores)) * float64(d.others)
	if known && model.Value*compared < fewestMatches {
		return nil // those that are enrolled twice could outnumber the strangers
	}
	if len(scores) == 0 {
		return nil
	}
	slices.SortFunc(scores, func(a, b []float64) int { return len(a) - len(b) })
	most := len(scores[int(usual*float64(len(scores)-1))])
	var all []float64
	matches := 0
	for _, of := range scores {
		matches += min(len(of), most)
		if len(of) <= most {
			all = append(all, of...)
		}
	}
	if matches < fewestMatches || len(all) < fewestMatches {
		return nil
	}
	slices.Sort(all)
	// Half of an exponential tail lies below ln 2 times its scale. People who are enrolled
	// twice move the median less than the mean, and upwards: towards more caution.
	scale := (all[len(all)/2] - cosine) / math.Ln2
	if !(scale > 0) {
		return nil
	}
	l := &Level{Faces: len(scores), Matches: matches, Cosine: cosine, Rate: float64(matches) / compared, Scale: scale}
	if known {
		l.Ratio = l.Rate / model.Value
	}
	return l
}
