package rewrite

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// activated is a convolution, what is done with it, and a PRelu of some slopes.
func activated(dims []int64, slopes ...float32) *Graph {
	n := newNetwork(1, 3, 12, 8)
	n.conv("conv", "x", 3, 8, 1)
	n.op("PRelu", "y", []string{"conv", n.floats("slope", dims, slopes...)})
	n.output("y", 1, 8, 12, 8)
	return n
}

func TestSplitPReLU(t *testing.T) {
	eight := []float32{0.25, -0.5, 0, 1, -1, 0.75, 0.1, 0.99}
	twoPasses, threePasses := 2, 1+2 // convolutions with that of the network, and without it
	for name, c := range map[string]struct {
		dims   []int64
		slopes []float32
		convs  int
	}{
		"each channel":              {[]int64{8, 1, 1}, eight, 1 + twoPasses},
		"with a batch dimension":    {[]int64{1, 8, 1, 1}, eight, 1 + twoPasses},
		"one for all":               {[]int64{1}, []float32{0.2}, 1 + twoPasses},
		"one for all, as a scalar":  {nil, []float32{-0.2}, 1 + twoPasses},
		"above 1":                   {[]int64{8, 1, 1}, append(slices.Clone(eight[:7]), 1.12), threePasses},
		"below -1":                  {[]int64{8, 1, 1}, append(slices.Clone(eight[:7]), -1.5), threePasses},
		"huge":                      {[]int64{8, 1, 1}, append(slices.Clone(eight[:6]), 3e7, -3e7), threePasses},
		"along the width":           {[]int64{8}, eight, 1},
		"along the width, declared": {[]int64{1, 1, 8}, eight, 1},
		"along the height":          {[]int64{12, 1}, append(slices.Clone(eight), eight[:4]...), 1},
		"of each place":             {[]int64{8, 12, 8}, slices.Repeat(eight, 96), 1},
	} {
		t.Run(name, func(t *testing.T) {
			file := activated(c.dims, c.slopes...).Bytes()
			n := parsed(t, file)
			n.replacePReLU()
			convs := 0
			for _, kind := range n.kinds() {
				if kind == "Conv" {
					convs++
				}
			}
			require.Equal(t, c.convs, convs)
			require.Equal(t, c.convs == 1, slices.Contains(n.kinds(), "PRelu"))
			want := run(t, file, "x", []int64{1, 3, 12, 8}, "y")
			got := run(t, n.Bytes(), "x", []int64{1, 3, 12, 8}, "y")
			requireEach(t, want[0], got[0])
		})
	}
}

// requireEach compares element by element, in parts of each: nothing cancels.
func requireEach(t *testing.T, want, got []float32) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, w := range want {
		require.InDelta(t, w, got[i], 1e-6*math.Abs(float64(w))+1e-7, "element %d", i)
	}
}

// The slopes are read in every form that they are written in.
func TestSlopesInEveryForm(t *testing.T) {
	values := []float32{0.25, -0.5, 0, 1, -1, 0.75, 0.1, 0.99}
	header := func(message []byte) []byte {
		for _, d := range []int64{8, 1, 1} {
			message = appendInt(message, tensorDims, d)
		}
		return appendBytes(appendInt(message, tensorType, elementFloat), tensorName, "slope")
	}
	raw := newFloats("slope", []int64{8, 1, 1}, values).raw
	fields, err := split(raw)
	require.NoError(t, err)
	content, ok := first(fields, tensorRaw)
	require.True(t, ok)
	packed := appendBytes(header(nil), tensorFloats, content.content)
	apart := header(nil)
	for i := range values {
		apart = append(append(apart, tensorFloats<<3|5), content.content[4*i:][:4]...)
	}
	for name, form := range map[string][]byte{"raw": raw, "packed": packed, "one by one": apart} {
		t.Run(name, func(t *testing.T) {
			n := activated([]int64{8, 1, 1}, values...)
			n.weights[1].raw = form
			file := n.Bytes()
			n = parsed(t, file)
			n.replacePReLU()
			require.NotContains(t, n.kinds(), "PRelu")
			requireEach(t, run(t, file, "x", []int64{1, 3, 12, 8}, "y")[0], run(t, n.Bytes(), "x", []int64{1, 3, 12, 8}, "y")[0])
		})
	}
}

// What is not understood stays as it is, byte by byte.
func TestPReLUThatStays(t *testing.T) {
	good := []float32{0.25, -0.5, 0, 1, -1, 0.75, 0.1, 0.99}
	for name, build := range map[string]func() *Graph{
		"no convolution": func() *Graph {
			n := newNetwork(1, 8, 12, 8)
			n.op("PRelu", "y", []string{"x", n.floats("slope", []int64{8, 1, 1}, good...)})
			return n
		},
		"slopes that are an input": func() *Graph {
			n := activated([]int64{8, 1, 1}, good...)
			n.inputs = append(n.inputs, declare("slope", 8, 1, 1))
			return n
		},
		"slopes that are computed": func() *Graph {
			n := activated([]int64{8, 1, 1}, good...)
			n.nodes = append([]*node{newNode("Neg", []string{"slope"}, "negative")}, n.nodes...)
			n.nodes[2] = newNode("PRelu", []string{"conv", "negative"}, "y")
			return n
		},
		"slopes that are no numbers": func() *Graph {
			return activated([]int64{8, 1, 1}, append(slices.Clone(good[:7]), float32(math.NaN()))...)
		},
		"endless slopes": func() *Graph {
			return activated([]int64{8, 1, 1}, append(slices.Clone(good[:7]), float32(math.Inf(1)))...)
		},
		"too few slopes": func() *Graph {
			n := activated([]int64{8, 1, 1}, good...)
			n.weights[1] = newFloats("slope", []int64{8, 1, 1}, good[:7])
			return n
		},
		"an older file": func() *Graph {
			n := activated([]int64{8, 1, 1}, good...)
			n.model, n.irVersion = modelFields(3, 13), 3
			return n
		},
		"older operators": func() *Graph {
			n := activated([]int64{8, 1, 1}, good...)
			n.model, n.opset = modelFields(8, 6), 6
			return n
		},
		"a circle": func() *Graph {
			n := newNetwork(1, 8, 12, 8)
			n.op("Relu", "a", []string{"b"})
			n.op("Relu", "b", []string{"a"})
			n.op("PRelu", "y", []string{"a", n.floats("slope", []int64{8, 1, 1}, good...)})
			return n
		},
		"an operator of somebody else": func() *Graph {
			n := activated([]int64{8, 1, 1}, good...)
			n.nodes[1].raw = appendBytes(n.nodes[1].raw, nodeDomain, "example")
			return n
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := build().Bytes()
			n := parsed(t, file)
			n.replacePReLU()
			require.Equal(t, file, n.Bytes())
		})
	}
}

// No name that is taken is given again.
func TestFreshNames(t *testing.T) {
	n := activated([]int64{1}, 0.5)
	n.op("Relu", "y/imago-0", []string{"x"})
	n.output("y/imago-0", 1, 3, 12, 8)
	n = parsed(t, n.Bytes())
	n.replacePReLU()
	_, err := parse(n.Bytes())
	require.NoError(t, err)
	require.Len(t, run(t, n.Bytes(), "x", []int64{1, 3, 12, 8}, "y", "y/imago-0"), 2)
}
