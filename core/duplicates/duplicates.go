package duplicates

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"imago/core/calibration"
	"imago/ports"
)

// Index has the faces to look at and searches them exactly; a ports.VectorStore is one. It
// must not change meanwhile, and its Search is fast with many callers at a time.
type Index interface {
	Search(ctx context.Context, q ports.Query) ([]ports.Match, error)
	Scan(ctx context.Context, s ports.Selection) iter.Seq2[ports.Record, error]
	Get(ctx context.Context, user ports.UserKey) ([]ports.Record, error)
}

// Options say what to look for.
type Options struct {
	// Collection is looked at in itself or, where Against is set, beside that other one.
	Collection, Against string
	Curve               calibration.Curve
	// Rates are the false match rates of the network, empty for unknown.
	Rates calibration.Rates
	// Threshold is the similarity in percent from which two users count as one person; nil
	// for the one that Find chooses.
	Threshold *float64
	// Together is the similarity in percent from which two faces of one user count as of
	// one person.
	Together float64
	// Limit is how many findings of each kind are listed, at least 1; all are counted.
	Limit int
	// Callers is how many searches wait for an answer at a time, at least 1: an index that
	// shares scans among them is the faster the more there are.
	Callers int
	// Progress, where set, is called with the number of faces searched and of all. The calls
	// never overlap.
	Progress func(done, total int)
}

// Size is how much there is in a collection.
type Size struct {
	Users, Faces int
	// Several is the number of users with more than one face.
	Several int
}

// Level is how similar strangers in the gallery are, measured on a sample of its faces.
type Level struct {
	Faces, Matches int     // in the sample, and users from Cosine on that they resemble
	Cosine         float64 // from which on it was measured
	Rate           float64 // the part of comparisons that reach Cosine
	// Scale is by how much the cosine rises while the rate falls to 1/e.
	Scale float64
	// Ratio is Rate in parts of what the network's rates say there.
	Ratio float64
}

// Chance is how many findings strangers alone explain.
type Chance struct {
	// Model is by the false match rates of the network; nil where these are unknown. Beyond
	// its last rate, the exponential fall between the last two is continued: AtMost.
	Model *calibration.Rate
	// Gallery is by the gallery's own level; nil where that was not measured.
	Gallery *float64
}

// Report is what was found.
type Report struct {
	Collection, Against string
	Size                Size
	// Other is the size of Against.
	Other Size
	// Comparisons is the number of pairs of faces of two users.
	Comparisons float64
	// Threshold is in percent; Cosine is the same as a score, and Chosen whether Find
	// chose it.
	Threshold, Cosine float64
	Chosen            bool
	// Pairs is the number of pairs of users who reach the threshold, PairsChance that of
	// strangers who do.
	Pairs       int
	PairsChance Chance
	// Closest are the pairs with the highest scores.
	Closest []Pair
	// HubPairs is the number of pairs not counted because a hub is one of the two faces.
	HubPairs int
	// Scores are the pairs of users by score, whatever their faces.
	Scores []Bin

	// Mixed is the number of users whose faces fall apart at Together; Hidden, where it is
	// known, is the part of the pairs of strangers that do not.
	Mixed    int
	Together float64
	Hidden   *calibration.Rate
	// Farthest are the users who fall apart most clearly.
	Farthest []MixedUser

	// Hubs is the number of faces that are hubs.
	Hubs int
	// HubRules say what a hub is, for the faces of Collection and for those of Against; there
	// are none where nothing is known of chance.
	HubRules []HubRule
	// Largest are the hubs that resemble the most users.
	Largest []Hub

	// Level is that of Collection, nil where too few faces resemble any other.
	Level *Level
	// Cut is the number of faces, other than hubs, that resemble more users than a search
	// returns: pairs of theirs may be missing.
	Cut int
}

// Face names a face.
type Face struct{ Collection, UserID, FaceID string }

// Pair is two users who look like one person, by the two faces that are closest.
type Pair struct {
	A, B  Face
	Score float64
	// Chance is the number of pairs of strangers with this score or more.
	Chance Chance
}

// Bin is the number of pairs from one cosine to another, and what chance gives.
type Bin struct {
	From, To float64
	Pairs    int
	Chance   Chance
}

// perUser is the part of users that chance may put into a pair at a chosen threshold: few
// enough that most of what is listed is worth a look.
const perUser = 1.0 / 500

// lowestChosen is the lowest threshold that Find chooses, in percent: what imago takes for one
// person.
const lowestChosen = 80

// mostPerFace is how many users chance may give a face at a threshold: a tenth of what a search
// returns.
const mostPerFace = mostMatches / 10

// mostMatches is the largest number of matches of a search.
const mostMatches = 1000

// ErrThreshold is the error of a threshold so low that chance fills the list.
var ErrThreshold = errors.New("the threshold is too low")

// Find looks at all faces. It searches each one once, and a sample of them twice. Its memory
// depends on Limit and on the largest number of faces of a user. The report depends
// on the index and the options alone.
//
// The threshold that it chooses is the lowest one, 80 % at least, at which chance puts at most
// one user in 500 into a pair, by the gallery's own level where that was measured, by the rates of
// the network otherwise.
//
// Errors: ErrThreshold, those of the index, the context's.
func Find(ctx context.Context, index Index, o Options) (Report, error) {
	f := &finder{index: index, options: o, report: Report{Collection: o.Collection, Against: o.Against, Together: o.Together}}
	err := f.prepare(ctx)
	if err == nil {
		err = f.chooseThreshold()
	}
	if err == nil {
		err = f.look(ctx)
	}
	if err != nil {
		return Report{}, err
	}
	return f.result(), nil
}

// prepare counts the faces and makes the directions of search.
func (f *finder) prepare(ctx context.Context) (err error) {
	r := &f.report
	if r.Size, err = f.count(ctx, r.Collection); err != nil {
		return err
	}
	r.Comparisons = f.within
	f.directions = []*direction{{from: r.Collection, in: r.Collection, faces: r.Size.Faces, others: max(0, r.Size.Faces-1)}}
	if r.Against != "" {
		if r.Other, err = f.count(ctx, r.Against); err != nil {
			return err
		}
		r.Comparisons = float64(r.Size.Faces) * float64(r.Other.Faces)
		f.directions = []*direction{
			{from: r.Collection, in: r.Against, faces: r.Size.Faces, others: r.Other.Faces},
			{from: r.Against, in: r.Collection, faces: r.Other.Faces, others: r.Size.Faces},
		}
	}
	for _, d := range f.directions {
		if err := f.measure(ctx, d); err != nil {
			return err
		}
		f.total += d.faces
	}
	r.Level = f.directions[0].level
	return nil
}

// count counts a collection, and the pairs of faces of two of its users.
func (f *finder) count(ctx context.Context, collection string) (Size, error) {
	var s Size
	var last string
	var own, pairs float64
	end := func() {
		if own > 1 {
			s.Several++
		}
		pairs += own * (own - 1) / 2
		own = 0
	}
	selection := ports.Selection{Collection: collection, Owners: ports.Everybody(), WithoutVectors: true}
	for r, err := range f.index.Scan(ctx, selection) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return Size{}, err
		}
		if r.UserID != last {
			end()
			s.Users++
			last = r.UserID
		}
		own++
		s.Faces++
	}
	end()
	n := float64(s.Faces)
	f.within = n*(n-1)/2 - pairs
	return s, nil
}

// chooseThreshold sets the threshold of pairs and the lowest scores to search for.
func (f *finder) chooseThreshold() error {
	r, d := &f.report, f.directions[0]
	if t := f.options.Threshold; t != nil {
		r.Threshold = *t
	} else {
		r.Chosen, r.Threshold = true, lowestChosen
		if rate := perUser / 2 * float64(r.Size.Users+r.Other.Users) / max(1, r.Comparisons); r.Comparisons > 0 {
			r.Threshold = max(r.Threshold, f.options.Curve.Percent(d.cosineOf(f.options.Rates, rate)))
		}
	}
	r.Cosine = f.options.Curve.Cosine(r.Threshold)
	r.PairsChance = f.chance(r.Cosine)
	for _, d := range f.directions {
		if n, known := d.expected(f.options.Rates, r.Cosine); known && n > mostPerFace {
			return fmt.Errorf("%w: at %v %% chance alone gives each face of %s about %.0f users; the lowest usable threshold is about %.5g %%",
				ErrThreshold, r.Threshold, d.from, n, f.options.Curve.Percent(d.cosineOf(f.options.Rates, mostPerFace/float64(d.others))))
		}
		f.setRules(d)
		d.floor = min(f.hubCosine(d), r.Cosine)
	}
	f.directions[0].pairs = true
	return nil
}
