package exactindex

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/test/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// thing is an item of the tests.
type thing struct {
	group, id string
	vector    []float32
	place     Place
}

func (t *thing) Group() string { return t.group }
func (t *thing) ID() string    { return t.id }
func (t *thing) Place() *Place { return &t.place }

// brute is what a search has to answer: every score, sorted.
func brute(things []*thing, q []float32, k int, minimum float64) []Hit[*thing] {
	best := map[string]Hit[*thing]{}
	for _, t := range things {
		h := Hit[*thing]{t, max(-1, min(1, float64(dot(q, t.vector))))}
		if have, ok := best[t.group]; h.Score >= minimum && (!ok || better(h, have)) {
			best[t.group] = h
		}
	}
	var hits []Hit[*thing]
	for _, h := range best {
		hits = append(hits, h)
	}
	slices.SortFunc(hits, Hit[*thing].compare)
	return hits[:min(k, len(hits))]
}

func filled(things []*thing, dimension, threads int) *Index[*thing] {
	x := New[*thing](dimension, threads)
	for _, t := range things {
		x.Add(t, t.vector)
	}
	x.Publish()
	return x
}

// A population is a way of making vectors; the names say what is hard about them.
var populations = map[string]func(rng *rand.Rand, n, dimension int) [][]float32{
	"random": func(rng *rand.Rand, n, dimension int) [][]float32 {
		return generate(n, func(int) []float32 { return fixture.UnitVector(rng, dimension) })
	},
	"clusters": func(rng *rand.Rand, n, dimension int) [][]float32 {
		centres := generate(1+n/50, func(int) []float32 { return fixture.UnitVector(rng, dimension) })
		return generate(n, func(int) []float32 { return near(rng, centres[rng.IntN(len(centres))], 0.7) })
	},
	"duplicates": func(rng *rand.Rand, n, dimension int) [][]float32 {
		few := generate(7, func(int) []float32 { return fixture.UnitVector(rng, dimension) })
		return generate(n, func(int) []float32 { return few[rng.IntN(len(few))] })
	},
	"all equal": func(rng *rand.Rand, n, dimension int) [][]float32 {
		one := fixture.UnitVector(rng, dimension)
		return generate(n, func(int) []float32 { return one })
	},
	"codes without error": func(rng *rand.Rand, n, dimension int) [][]float32 {
		return generate(n, func(int) []float32 {
			v := make([]float32, dimension)
			for i := range v {
				v[i] = float32(2*rng.IntN(2) - 1)
			}
			return fixture.Normalise(v)
		})
	},
	"axes": func(rng *rand.Rand, n, dimension int) [][]float32 {
		return generate(n, func(int) []float32 {
			v := make([]float32, dimension)
			v[rng.IntN(dimension)] = float32(2*rng.IntN(2) - 1)
			return v
		})
	},
	"heavy tails": func(rng *rand.Rand, n, dimension int) [][]float32 {
		return generate(n, func(int) []float32 {
			v := make([]float32, dimension)
			for i := range v {
				v[i] = float32(math.Pow(rng.NormFloat64(), 5))
			}
			return fixture.Normalise(v)
		})
	},
	"energy in front": func(rng *rand.Rand, n, dimension int) [][]float32 {
		return generate(n, func(int) []float32 {
			v := make([]float32, dimension)
			for i := range v {
				v[i] = float32(rng.NormFloat64() / float64(1+i))
			}
			return fixture.Normalise(v)
		})
	},
	"nothing in front": func(rng *rand.Rand, n, dimension int) [][]float32 {
		return generate(n, func(int) []float32 {
			v := make([]float32, dimension)
			for i := range v {
				if i >= dimension-dimension/6-1 {
					v[i] = float32(rng.NormFloat64())
				}
			}
			return fixture.Normalise(v)
		})
	},
	"nearly unit": func(rng *rand.Rand, n, dimension int) [][]float32 {
		return generate(n, func(int) []float32 {
			v := fixture.UnitVector(rng, dimension)
			for i, f := 0, float32(1+(rng.Float64()-0.5)/100); i < len(v); i++ {
				v[i] *= f
			}
			return v
		})
	},
}

func generate(n int, f func(i int) []float32) [][]float32 {
	all := make([][]float32, n)
	for i := range all {
		all[i] = f(i)
	}
	return all
}

// near returns a vector at about a cosine from another.
func near(rng *rand.Rand, v []float32, cosine float64) []float32 {
	other := fixture.UnitVector(rng, len(v))
	out := make([]float32, len(v))
	for i := range v {
		out[i] = float32(cosine*float64(v[i]) + math.Sqrt(1-cosine*cosine)*float64(other[i]))
	}
	return fixture.Normalise(out)
}

// crowd makes things of vectors: some groups have several.
func crowd(rng *rand.Rand, vectors [][]float32) []*thing {
	things := make([]*thing, len(vectors))
	for i, v := range vectors {
		things[i] = &thing{group: fmt.Sprintf("g%06d", i), id: fmt.Sprintf("i%06d", i), vector: v}
		if i > 0 && rng.IntN(8) == 0 {
			things[i].group = things[rng.IntN(i)].group
		}
	}
	return things
}

// The answers are those of brute force: items, bits of scores, order; for every kernel,
// dimension, population, number of places and minimum, alone and in company.
func TestSearch(t *testing.T) {
	for name, population := range populations {
		for _, dimension := range []int{1, 2, 3, 7, 8, 9, 16, 17, 33, 128, 300, 512} {
			t.Run(fmt.Sprintf("%s/%d", name, dimension), func(t *testing.T) {
				t.Parallel()
				rng := seeded(uint64(dimension))
				things := crowd(rng, population(rng, 1200, dimension))
				for _, k := range append(kernels(t), portable) {
					x := filled(things, dimension, 1+rng.IntN(3))
					x.kernel = k
					requireBrute(t, rng, x, things)
				}
			})
		}
	}
}

func requireBrute(t *testing.T, rng *rand.Rand, x *Index[*thing], things []*thing) {
	t.Helper()
	type question struct {
		vector  []float32
		k       int
		minimum float64
	}
	var questions []question
	for range 2 {
		v := things[rng.IntN(len(things))].vector
		for _, q := range [][]float32{fixture.Normalise(slices.Clone(v)), near(rng, v, 0.7), fixture.UnitVector(rng, len(v))} {
			exact := float64(dot(q, things[rng.IntN(len(things))].vector))
			for _, minimum := range []float64{0.4, -1, max(-1, min(1, exact)), 1, -0.3} {
				questions = append(questions, question{q, []int{1, 10, 1000}[rng.IntN(3)], minimum})
			}
		}
	}
	answers := make([][]Hit[*thing], len(questions))
	errs := make([]error, len(questions))
	var wg sync.WaitGroup
	for i, q := range questions {
		ask := func() { answers[i], errs[i] = x.Search(t.Context(), q.vector, q.k, q.minimum) }
		if i%4 == 0 {
			ask()
		} else {
			wg.Go(ask)
		}
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	for i, q := range questions {
		require.Equal(t, brute(things, q.vector, q.k, q.minimum), answers[i], "%s: k %d, minimum %v", x.kernel, q.k, q.minimum)
	}
}

// Searches that run, writes that publish several changes at once, and moves do not
// disturb each other: each search sees one version.
func TestChurn(t *testing.T) {
	const dimension, groups = 24, 400
	for _, threads := range []int{1, 3} {
		x := New[*thing](dimension, threads)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		var failure error
		var once sync.Once
		fail := func(err error) { once.Do(func() { failure = err }) }
		alive := make([]*thing, groups)
		for i := range alive {
			alive[i] = generation(i, 0, dimension)
			x.Add(alive[i], alive[i].vector)
		}
		x.Publish()
		for s := range 4 {
			wg.Go(func() {
				for rng := seeded(uint64(s)); ; {
					select {
					case <-stop:
						return
					default:
					}
					if err := lookAround(x, fixture.UnitVector(rng, dimension), groups); err != nil {
						fail(err)
						return
					}
				}
			})
		}
		rng := seeded(9)
		extra := []*thing{}
		for round := 1; round <= 300; round++ {
			for range 20 {
				i := rng.IntN(groups)
				x.Remove(alive[i])
				alive[i] = generation(i, round, dimension)
				x.Add(alive[i], alive[i].vector)
			}
			// A crowd that comes and goes makes chunks come and go.
			for range 100 {
				if round%60 < 30 {
					extra = append(extra, &thing{group: "extra", id: fmt.Sprint(len(extra)), vector: fixture.UnitVector(rng, dimension)})
					x.Add(extra[len(extra)-1], extra[len(extra)-1].vector)
				} else if len(extra) > 0 {
					x.Remove(extra[0])
					extra = extra[1:]
				}
			}
			x.Publish()
		}
		close(stop)
		wg.Wait()
		require.NoError(t, failure)
		for _, kept := range append(extra, alive...) {
			require.Equal(t, kept.vector, x.Vector(kept))
		}
		requireBrute(t, rng, x, append(extra, alive...))
		// Memory follows with the writes to come.
		for range 4 * chunkRows {
			x.Remove(alive[0])
			x.Add(alive[0], alive[0].vector)
			x.Publish()
		}
		requireBrute(t, rng, x, append(extra, alive...))
		require.LessOrEqual(t, len(x.chunks), 4)
	}
}

// generation returns the thing that a group has in a round.
func generation(group, round, dimension int) *thing {
	return &thing{
		group: fmt.Sprint("g", group), id: fmt.Sprint(round),
		vector: fixture.UnitVector(seeded(uint64(group*1000+round)), dimension),
	}
}

// lookAround asks for everybody and says what is wrong with the answer.
func lookAround(x *Index[*thing], q []float32, groups int) error {
	hits, err := x.Search(context.Background(), q, groups+1, -1)
	if err != nil {
		return err
	}
	found := 0
	for _, h := range hits {
		if h.Item.group != "extra" {
			found++
		}
		if h.Score != float64(dot(q, h.Item.vector)) {
			return fmt.Errorf("%s scores %v", h.Item.group, h.Score)
		}
	}
	if found != groups {
		return fmt.Errorf("%d of %d groups", found, groups)
	}
	return nil
}
