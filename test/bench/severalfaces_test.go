package bench

import (
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/quality"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/pipeline"
)

// rules are the ways to score a probe against the faces of a user; imago's is the first.
var rules = []struct {
	name  string
	score func(probe []float32, faces [][]float32) float64
}{
	{"best face", bestFace},
	{"mean template", meanTemplate},
	{"the larger of both", func(p []float32, faces [][]float32) float64 { return max(bestFace(p, faces), meanTemplate(p, faces)) }},
	{"mean of both", func(p []float32, faces [][]float32) float64 {
		return (bestFace(p, faces) + meanTemplate(p, faces)) / 2
	}},
	{"mean score", func(p []float32, faces [][]float32) (sum float64) {
		for _, f := range faces {
			sum += cosine(p, f)
		}
		return sum / float64(len(faces))
	}},
}

func bestFace(probe []float32, faces [][]float32) float64 {
	best := -1.0
	for _, f := range faces {
		best = max(best, cosine(probe, f))
	}
	return best
}

func meanTemplate(probe []float32, faces [][]float32) float64 {
	sum := make([]float32, len(probe))
	for _, f := range faces {
		for i, x := range f {
			sum[i] += x
		}
	}
	return cosine(probe, normalised(sum))
}

// shown is one picture of a person with the templates of its copies, the first as it is.
type shown struct {
	person int
	copies [][]float32
}

// A trial is a comparison of a probe with a user: the persons of both, and the score by each
// rule.
type trial struct {
	probe, user int
	scores      []float64
}

const (
	most      = 4   // faces of a user; the fifth still of a person is the probe
	resamples = 200 // of the bootstrap
)

// BenchmarkSeveralFaces compares rules for users with several faces at equal false match
// rates: the stills of the cast are enrolled, one to four of a person, and copies of the
// person's other ones are searched, and of everybody else. The intervals are of 95 %, by
// resampling people; those of the differences to the best face are paired.
func BenchmarkSeveralFaces(b *testing.B) {
	for _, pair := range pipeline.Pairs(b) {
		b.Run(pair.Detector+"+"+pair.Embedder, func(b *testing.B) {
			p := pipeline.With(b, pair)
			for b.Loop() {
				cast, people := castShown(b, p)
				strangers := strangersShown(b, p, people)
				reportRules(b, cast, strangers)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// castShown returns the stills of the cast, and how many people they show.
func castShown(b *testing.B, p *pipeline.Pipeline) (all []shown, people int) {
	stills, err := fs.Glob(os.DirFS(fixture.Faces(b)), "cast/*[0-9].png")
	require.NoError(b, err)
	numbers := map[string]int{}
	x := p.Extractor()
	for _, name := range stills {
		person := personIn(name)
		if person == "group" {
			continue
		}
		if _, ok := numbers[person]; !ok {
			numbers[person] = len(numbers)
		}
		img, err := p.Decoder.Decode(b.Context(), fixture.Read(b, name), 640)
		require.NoError(b, err)
		one := shown{person: numbers[person]}
		width := float64(img.Width) / 2 // about that of the face
		for _, copied := range []*ports.Image{
			img, turnedBy(img, 8), turnedBy(img, -20), resized(img, 0.4), gaussian(img, 0.04*width), compressed(b, p, img, 10), noisy(img, 20), light(img, 0.3, 0),
		} {
			vector, err := x.Probe(b.Context(), asPNG(b, copied))
			if err != nil {
				continue // no face is found, which no rule changes
			}
			one.copies = append(one.copies, vector)
		}
		all = append(all, one)
	}
	return all, len(numbers)
}

// strangersShown returns everybody in the other pictures, each as a person.
func strangersShown(b *testing.B, p *pipeline.Pipeline, person int) (all []shown) {
	names, err := fs.Glob(os.DirFS(fixture.Faces(b)), "*.jpg")
	require.NoError(b, err)
	seen := map[string]int{}
	for _, name := range names {
		faces, err := p.Extractor().ProbeAll(b.Context(), fixture.Read(b, name), 16, quality.Gate{})
		if err != nil {
			continue // no face
		}
		for _, f := range faces {
			one := shown{person: person, copies: [][]float32{f.Vector}}
			if who := personIn(name); len(who) == 1 && who >= "A" { // a person with several pictures
				if _, ok := seen[who]; !ok {
					seen[who] = person
					person++
				}
				one.person = seen[who]
			} else {
				person++
			}
			all = append(all, one)
		}
	}
	return all
}

// trials returns the comparisons of all probes with users of some faces: their own, without
// the still that is the probe, and everybody else's.
func trials(cast, strangers []shown, faces int) (mated, others []trial) {
	byPerson := map[int][]int{}
	for i, one := range cast {
		byPerson[one.person] = append(byPerson[one.person], i)
	}
	for i, one := range slices.Concat(cast, strangers) {
		for user, stills := range byPerson {
			for _, set := range subsets(slices.DeleteFunc(slices.Clone(stills), func(s int) bool { return s == i }), faces) {
				var enrolled [][]float32
				for _, s := range set {
					enrolled = append(enrolled, cast[s].copies[0])
				}
				for _, probe := range one.copies {
					t := trial{probe: one.person, user: user}
					for _, r := range rules {
						t.scores = append(t.scores, r.score(probe, enrolled))
					}
					if user == one.person {
						mated = append(mated, t)
					} else {
						others = append(others, t)
					}
				}
			}
		}
	}
	return mated, others
}

// subsets returns all subsets of a size.
func subsets(of []int, size int) (all [][]int) {
	if size == 0 {
		return [][]int{nil}
	}
	for i, first := range of {
		for _, rest := range subsets(of[i+1:], size-1) {
			all = append(all, append([]int{first}, rest...))
		}
	}
	return all
}

// sorted returns trials with the highest score by a rule first.
func sorted(all []trial, rule int) []trial {
	all = slices.Clone(all)
	slices.SortFunc(all, func(x, y trial) int {
		switch {
		case x.scores[rule] > y.scores[rule]:
			return -1
		case x.scores[rule] < y.scores[rule]:
			return 1
		}
		return 0
	})
	return all
}

// weight is how often a trial counts when people do as often as weights says.
func (t trial) weight(weights []float64) float64 {
	if t.probe == t.user {
		return weights[t.user]
	}
	return weights[t.probe] * weights[t.user]
}

// above returns the part of trials, sorted, that reach a score.
func above(all []trial, rule int, score float64, weights []float64) float64 {
	var reached, total float64
	for _, t := range all {
		w := t.weight(weights)
		total += w
		if t.scores[rule] >= score {
			reached += w
		}
	}
	return reached / total
}

// threshold returns the score above which a part of the trials, sorted, lies.
func threshold(all []trial, rule int, rate float64, weights []float64) float64 {
	var total, sum float64
	for _, t := range all {
		total += t.weight(weights)
	}
	for _, t := range all {
		if sum += t.weight(weights); sum > rate*total {
			return math.Nextafter(t.scores[rule], 2)
		}
	}
	return -1
}

// reportRules logs what each rule misses at each false match rate.
func reportRules(b *testing.B, cast, strangers []shown) {
	people := strangers[len(strangers)-1].person + 1
	for _, s := range strangers {
		people = max(people, s.person+1)
	}
	once := make([]float64, people)
	for i := range once {
		once[i] = 1
	}
	singles := math.NaN() // the score that 1 % of strangers reach with one face
	for faces := 1; faces <= most; faces++ {
		mated, others := trials(cast, strangers, faces)
		matedBy, othersBy := make([][]trial, len(rules)), make([][]trial, len(rules))
		for r := range rules {
			matedBy[r], othersBy[r] = sorted(mated, r), sorted(others, r)
		}
		if faces == 1 {
			singles = threshold(othersBy[0], 0, 0.01, once)
			b.Logf("%d people enrolled, %d others; %d and %d trials of one face", 8, people-8, len(mated), len(others))
		}
		for r, rule := range rules {
			b.Logf("%d faces, %s: %.4f of strangers reach %.3f", faces, rule.name, above(othersBy[r], r, singles, once), singles)
		}
		for _, rate := range []float64{0.01, 0.001} {
			missed := func(r int, weights []float64) float64 {
				return 1 - above(matedBy[r], r, threshold(othersBy[r], r, rate, weights), weights)
			}
			samples := make([][]float64, len(rules))
			rng := rand.New(rand.NewPCG(21, uint64(faces)))
			for range resamples {
				weights := resampled(rng, people)
				for r := range rules {
					samples[r] = append(samples[r], missed(r, weights))
				}
			}
			for r, rule := range rules {
				differences := make([]float64, len(samples[r]))
				for i := range differences {
					differences[i] = samples[r][i] - samples[0][i]
				}
				low, high := interval(samples[r])
				lower, higher := interval(differences)
				b.Logf("FMR %g, %d faces, %s: FNMR %.2f %% (%.2f to %.2f), less best face %+.2f (%+.2f to %+.2f)",
					rate, faces, rule.name, 100*missed(r, once), 100*low, 100*high, 100*(missed(r, once)-missed(0, once)), 100*lower, 100*higher)
			}
		}
	}
}

// resampled returns how often each person is drawn, the cast and the others by themselves.
func resampled(rng *rand.Rand, people int) []float64 {
	weights := make([]float64, people)
	for range 8 {
		weights[rng.IntN(8)]++
	}
	for range people - 8 {
		weights[8+rng.IntN(people-8)]++
	}
	return weights
}

// interval returns the middle 95 %.
func interval(all []float64) (low, high float64) {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)*25/1000], all[len(all)-1-len(all)*25/1000]
}
