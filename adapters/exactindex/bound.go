package exactindex

import "math"

// How a row is proved not to score enough.
//
// Let x be a row, c its code (odd integers, see code), q the query, d the query's code
// (integers -127 to 127, so that q is about w*d for a width w of a step). Write
// (a,b) for the angle between two vectors. The angle on the unit sphere is a metric:
// this is the Cauchy-Schwarz inequality, applied to the parts of the
// vectors that are orthogonal to a third. So
//
//	(c,d) <= (c,x) + (x,q) + (q,d)
//
// and a row that scores at least t, for which (x,q) <= arccos t, has
//
//	c.d / (|c||d|) >= cos( arccos t + (q,d) + (x,c) )
//
// whenever the sum of the angles is at most pi. (x,c) is known when the row is
// written and (q,d) when the query arrives; only c.d has to be computed per pair,
// from 4 and 8 bits per number, in exact integers. With the addition theorem the right
// side is linear in two terms of the row,
//
//	alpha = |c| cos(x,c)    beta = |c| sin(x,c)
//
//	c.d >= T alpha - U beta,   T = |d| cos(arccos t + (q,d)),  U = |d| sin(the same)
//
// and as c = 2u-15 for the stored u, that is in terms of the sum u.d that the
// kernels form
//
//	u.d >= T/2 alpha - U/2 beta + 15/2 sum(d)                        (full test)
//
// Everything that fails the test is proved to score less than t; everything that
// passes is compared in float32. So the result does not depend on the quality of the
// codes: bad ones only let more rows pass. For normally distributed numbers (x,c) is
// about 0.107, which at t = 0.4 asks for an estimate of 0.30.
//
// The first test does the same with the leading part of the numbers only. Let 1 and 2
// denote the two parts, s = x1.c1/|c1|² the scale that fits best, e1 = x1 - s*c1,
// r1 = q1 - w*d1. Then
//
//	q.x = s*w*c1.d1 + s*c1.r1 + q1.e1 + q2.x2
//	    <= s*w*c1.d1 + |x1||r1| + |q1||e1| + |q2||x2|
//
// with Cauchy-Schwarz for each product (|s*c1| <= |x1| because it is a projection).
// Divided by 2sw this is linear in the terms 1/s, |e1|/s, |x2|/s of the row.
//
// Rounding: a score is a float32 sum and may exceed the true product, and the tests are
// computed in float32; slack covers both, see there.
//
// Literature. To scan a coarse approximation that bounds the distance and then to look at
// the few originals that remain is the VA-file (Weber, Schek, Blott: A quantitative
// analysis and performance study for similarity-search methods in high-dimensional
// spaces, VLDB 1998); its bounds are per-dimension intervals, ours one angle per row,
// which costs two numbers and fits integer dot-product instructions. Abandoning a row
// after some of the dimensions is partial distance search (Bei, Gray: An improvement of the
// minimum distortion encoding algorithm for vector quantization, IEEE Transactions on
// Communications 33, 1985). ADSampling (Gao, Long: High-dimensional approximate nearest neighbor
// search, SIGMOD 2023) and RaBitQ (Gao, Long, SIGMOD 2024) use random rotations to
// obtain tighter estimates that hold with high probability; here nothing may
// be missed, so only what is certain is used. The row blocks that need no horizontal sums are those
// of André, Kermarrec, Le Scouarnec: Cache locality is not enough (VLDB 2015).

const (
	// unitTolerance is how far the length of a row may be from 1; a row that is
	// farther off survives every test.
	unitTolerance = 2e-3
	// minCosine is the least cosine between a row and its code; with a worse code
	// a row survives every test. widest is the largest arccos t + (q,d) that is
	// tested; beyond it, all rows survive. So the sum of the three angles is at
	// most 2.6: below pi, and far enough below for slack to be worth what it is.
	minCosine = 0.7
	widest    = 1.8
	// narrowest keeps U above zero, so that an unbounded beta always wins.
	narrowest = 1e-3
)

// slack is how much a score may lie above what the tests reckon with. A float32 sum of n
// products of unit vectors in 16 lanes is off by at most (n/16 + 8) roundings of
// 2^-24. The tests round two numbers that are at most 15 in units of the score
// (15/2 sum(d) against |c||d|/2, where |c| is at least sqrt(n)) and seven that
// are at most 1: 2.3e-6. Lowering t by a little lowers the right side of the full
// test by sin(the sum of the three angles)/sin(arccos t) as much, which is at
// least sin(2.6) = 0.51, so that 6e-6 leave 3e-6.
func slack(dimension int) float64 { return 6e-6 + float64(dimension/16+8)/(1<<23) }

// query is a vector prepared for scans.
type query struct {
	vector  []float32
	numbers []int8 // d, filled up with zeros to the shape's width
	length  float64
	code    float64 // |d|
	angle   float64 // (q,d)
	width   float64 // w
	sum     float64 // of d
	// Of the leading part: |q1|, |r1|, the sum of d1; and |q2|.
	length1, error1, sum1, length2 float64
}

// bound holds the factors of the tests: T/2, U/2, 15/2 sum(d), and the four of the
// first test in the order of its terms, its constant last.
const boundFloats = 8

type bound [boundFloats]float32

// prepare codes a vector.
func (q *query) prepare(s shape, vector []float32) {
	q.vector = append(q.vector[:0], vector...)
	if len(q.numbers) != s.width() {
		q.numbers = make([]int8, s.width())
	}
	var largest float64
	for _, v := range vector {
		largest = max(largest, math.Abs(float64(v)))
	}
	q.width = largest / 127
	cut := s.prefix * groupDims
	var lengths, errors [2]float64
	var sums [2]float64
	var product, squares float64
	for i, v := range vector {
		part := 0
		if i >= cut {
			part = 1
		}
		x := float64(v)
		d := math.Round(x / q.width)
		q.numbers[i] = int8(d)
		lengths[part] += x * x
		errors[part] += (x - q.width*d) * (x - q.width*d)
		sums[part] += d
		product += x * d
		squares += d * d
	}
	q.length, q.code, q.sum = math.Sqrt(lengths[0]+lengths[1]), math.Sqrt(squares), sums[0]+sums[1]
	q.angle = math.Acos(min(1, product/(q.length*q.code)))
	q.length1, q.error1, q.sum1 = math.Sqrt(lengths[0]), math.Sqrt(errors[0]), sums[0]
	q.length2 = math.Sqrt(lengths[1])
}

// wipe zeroes the vector in memory that is reused: it is as personal as the rows.
func (q *query) wipe() {
	clear(q.vector)
	clear(q.numbers)
}

// bound returns the factors for a score t.
func (q *query) bound(s shape, t float64) bound {
	t -= slack(s.dimension)
	longest := 1 + unitTolerance
	cosine := t / (q.length * longest)
	if t < 0 {
		cosine = t / (q.length * (1 - unitTolerance))
	}
	angle := math.Acos(max(-1, min(1, cosine))) + q.angle
	full := [3]float64{0, 0, -math.MaxFloat32}
	if angle <= widest {
		angle = max(angle, narrowest)
		full = [3]float64{q.code * math.Cos(angle) / 2, q.code * math.Sin(angle) / 2, 7.5 * q.sum}
	}
	return bound{
		float32(full[0]), float32(full[1]), float32(full[2]),
		float32((t - q.error1*longest) / (2 * q.width)),
		float32(q.length1 / (2 * q.width)),
		float32(q.length2 / (2 * q.width)),
		float32(7.5 * q.sum1),
	}
}

// all reports whether every row survives, even one that is not in use.
func (b *bound) all() bool { return b[2] == -math.MaxFloat32 }

// survives is the full test, as the kernels compute it. The conversions forbid fusing
// products with sums.
func (b *bound) survives(product int32, alpha, beta float32) bool {
	return float32(product) >= float32(float32(b[0]*alpha)-float32(b[1]*beta))+b[2]
}

// passes is the first test.
func (b *bound) passes(product int32, t1, t2, t3 float32) bool {
	most := float32(float32(b[3]*t1)-float32(b[4]*t2)) - float32(b[5]*t3)
	return float32(product) >= most+b[6]
}

// estimate returns the likely score of a row: the cosine between code and query,
// made smaller by that between row and code.
func (q *query) estimate(product int32, alpha, beta float32) float64 {
	a, b := float64(alpha), float64(beta)
	return (2*float64(product) - 15*q.sum) * a / ((a*a + b*b) * q.code)
}
