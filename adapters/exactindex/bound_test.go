package exactindex

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// judged runs the tests on one row and tells which it passes.
func judged(x, q []float32, minimum float64) (first, full bool) {
	s := shapeOf(len(x))
	c := newChunk[*thing](s, 0, &slabs{})
	row := newCode(s)
	row.encode(s, x)
	c.write(s, 0, x, row)
	var prepared query
	prepared.prepare(s, q)
	scan := &scan{shape: s, codes: c.codes, terms: c.terms, queries: prepared.numbers}
	b := prepared.bound(s, minimum)
	sums, rest := scan.sums(0, 0, 0, s.prefix), scan.sums(0, 0, s.prefix, s.groups)
	t := row.terms
	first = !s.hasFirstTest() || b.passes(sums[0], t[2], t[3], t[4])
	return first, b.survives(sums[0]+rest[0], t[0], t[1])
}

// A row survives a minimum that is its score, in every population.
func TestBoundHolds(t *testing.T) {
	for name, population := range populations {
		rng := seeded(21)
		for _, dimension := range []int{1, 2, 7, 16, 128, 256, 512} {
			rows := population(rng, 60, dimension)
			for _, x := range rows {
				for _, q := range [][]float32{fixture.UnitVector(rng, dimension), near(rng, fixture.Normalise(append([]float32{}, x...)), 0.5), fixture.Normalise(append([]float32{}, rows[0]...))} {
					score := max(-1, min(1, float64(dot(q, x))))
					first, full := judged(x, q, score)
					require.True(t, first, "%s, %d numbers, score %v, first test", name, dimension, score)
					require.True(t, full, "%s, %d numbers, score %v", name, dimension, score)
				}
			}
		}
	}
}

// The first test is tight where every inequality in its proof is an equality: the row
// equals its code, and what the query's code leaves out points in the row's
// direction. A test that forgot that part would lose this row.
func TestFirstTestTight(t *testing.T) {
	const dimension = 512
	rng := seeded(22)
	x, q := make([]float32, dimension), make([]float32, dimension)
	for i := range x {
		sign := float32(2*rng.IntN(2) - 1)
		x[i], q[i] = sign, sign*20.49
	}
	q[0] = 127 * x[0]
	fixture.Normalise(x)
	fixture.Normalise(q)
	score := float64(dot(q, x))
	first, full := judged(x, q, score)
	require.True(t, first)
	require.True(t, full)
	first, _ = judged(x, q, score+0.003)
	require.False(t, first, "the case is not tight")
}

// The tests rule out what they can: of random rows at a minimum of 0.4, nearly all.
func TestBoundRulesOut(t *testing.T) {
	for dimension, most := range map[int]float64{128: 2e-3, 512: 0} {
		rng := seeded(23)
		survived, passed := 0, 0
		const n = 4000
		q := fixture.UnitVector(rng, dimension)
		for range n {
			first, full := judged(fixture.UnitVector(rng, dimension), q, 0.4)
			if full {
				survived++
			}
			if first {
				passed++
			}
		}
		require.LessOrEqual(t, float64(survived)/n, most)
		if dimension == 512 {
			require.LessOrEqual(t, float64(passed)/n, 5e-3, "the first test")
		}
	}
}

// Directions that are hard to code are coded, and only survive more often.
func TestEncodeExtremes(t *testing.T) {
	s := shapeOf(300)
	for _, x := range [][]float32{
		make([]float32, 300),
		func() []float32 { v := make([]float32, 300); v[299] = 1; return v }(),
		func() []float32 { v := make([]float32, 300); v[0] = math.SmallestNonzeroFloat32; return v }(),
		func() []float32 { v := make([]float32, 300); v[0] = math.MaxFloat32; return v }(),
	} {
		c := newCode(s)
		c.encode(s, x)
		for i, u := range c.numbers {
			require.LessOrEqual(t, u, byte(15), "number %d", i)
		}
		for _, term := range c.terms {
			require.False(t, math.IsNaN(float64(term)) || math.IsInf(float64(term), 0), "terms %v", c.terms)
		}
	}
}
