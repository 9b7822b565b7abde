package exactindex

import "math"

// code is what the index knows of a row beside the float32 numbers. The numbers
// u, 0 to 15, stand for the odd integers c = 2u-15: sixteen steps that lie
// symmetrically around zero. No scale is needed for the full test, because that
// one is about directions only.
//
// The terms are those of bound.go: alpha, beta, and 1/s, |e1|/s, |x2|/s.
type code struct {
	numbers []byte
	terms   [fullTerms + firstTerms]float32
	trial   []byte
}

func newCode(s shape) *code {
	return &code{numbers: make([]byte, s.width()), trial: make([]byte, s.width())}
}

// gaussianStep is the best step of a uniform quantizer of 16 levels for normally
// distributed numbers of variance 1 (J. Max, Quantizing for minimum distortion, IRE
// Transactions on Information Theory 6, 1960, table II).
const gaussianStep = 0.3352

// unbounded is a term so large that its row survives every test.
const unbounded = 1e30

// alwaysSurvives and neverSurvives are the terms of rows that survive every test, or none.
var (
	alwaysSurvives = [fullTerms + firstTerms]float32{0, unbounded, 0, unbounded, unbounded}
	neverSurvives  = [fullTerms + firstTerms]float32{0, -unbounded, 0, -unbounded, -unbounded}
)

// encode codes a vector. Several steps are tried and the code that points most
// nearly in the vector's direction is kept; whichever it is, the bound holds.
func (c *code) encode(s shape, x []float32) {
	var squares, largest float64
	for _, v := range x {
		squares += float64(v) * float64(v)
		largest = max(largest, math.Abs(float64(v)))
	}
	norm := math.Sqrt(squares)
	if norm == 0 {
		clear(c.numbers)
		c.terms = alwaysSurvives
		return
	}
	step := norm / math.Sqrt(float64(len(x))) * gaussianStep
	best := -1.0
	for _, candidate := range [...]float64{step, 0.8 * step, 1.25 * step, largest / 7.5} {
		if cosine := quantize(c.trial, x, float32(1/candidate)); cosine > best {
			best = cosine
			c.numbers, c.trial = c.trial, c.numbers
		}
	}
	c.measure(s, x, norm)
}

// quantize codes x with a step, given as its inverse, and returns a number that
// grows with the cosine between x and its code.
func quantize(numbers []byte, x []float32, perStep float32) float64 {
	var product float32
	squares := 0
	numbers = numbers[:len(x)]
	for i, v := range x {
		u := int(max(0, min(15, v*perStep+8)))
		numbers[i] = byte(u)
		odd := 2*u - 15
		product += v * float32(odd)
		squares += odd * odd
	}
	return float64(product) / math.Sqrt(float64(squares))
}

// measure computes the terms of a code in float64.
func (c *code) measure(s shape, x []float32, norm float64) {
	cut := min(len(x), s.prefix*groupDims)
	product1, code1, x1 := c.products(x, 0, cut)
	product2, code2, x2 := c.products(x, cut, len(x))
	alpha := (product1 + product2) / norm
	squares := code1 + code2
	beta := math.Sqrt(max(0, squares-alpha*alpha))
	c.terms = [...]float32{float32(alpha), float32(beta), 0, 0, 0}
	if scale := product1 / code1; scale > 0 {
		e1 := math.Sqrt(max(0, x1-scale*product1))
		c.terms[2], c.terms[3], c.terms[4] = float32(1/scale), float32(e1/scale), float32(math.Sqrt(x2)/scale)
	} else {
		c.terms[3], c.terms[4] = unbounded, unbounded
	}
	if !(alpha >= math.Sqrt(squares)*minCosine) || math.Abs(norm-1) > unitTolerance {
		c.terms = alwaysSurvives
	}
}

// products returns x.c, |c|² and |x|² over some numbers.
func (c *code) products(x []float32, from, to int) (product, code, length float64) {
	for i := from; i < to; i++ {
		odd := float64(2*int(c.numbers[i]) - 15)
		product += float64(x[i]) * odd
		code += odd * odd
		length += float64(x[i]) * float64(x[i])
	}
	return product, code, length
}
