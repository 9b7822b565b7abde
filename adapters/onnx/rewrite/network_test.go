package rewrite

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/onnxgraph"
)

// What is taken apart and not changed is put together again as it was.
func TestBytes(t *testing.T) {
	for _, m := range []onnxgraph.Model{
		onnxgraph.YuNet(0, onnxgraph.Sound), onnxgraph.YuNet(320, onnxgraph.Sound),
		onnxgraph.SCRFD(onnxgraph.Sound), onnxgraph.Embedder(1, onnxgraph.Sound),
	} {
		once := parsed(t, m.Data).Bytes()
		require.Equal(t, once, parsed(t, once).Bytes())
		require.InDelta(t, len(m.Data), len(once), 8, "nothing is lost but the forms of lengths")
	}
}

// Weights that are inputs too become constants; the answers stay.
func TestFixWeights(t *testing.T) {
	n := newNetwork(1, 3, 12, 8)
	n.conv("y", "x", 3, 8, 1)
	n.output("y", 1, 8, 12, 8)
	n.inputs = append(n.inputs, declare("y_w", 8, 3, 3, 3))
	file := n.Bytes()
	n = parsed(t, file)
	n.makeWeightsConstant()
	inputs, _, complete := n.Signature()
	require.True(t, complete)
	require.Len(t, inputs, 1)
	dims := []int64{1, 3, 12, 8}
	requireClose(t, run(t, file, "x", dims, "y"), run(t, n.Bytes(), "x", dims, "y"), 1e-6)

	n.model, n.irVersion = modelFields(3, 13), 3
	n.inputs = append(n.inputs, declare("y_w", 8, 3, 3, 3))
	n.makeWeightsConstant()
	require.Len(t, n.inputs, 2, "files of that version have to declare them")
}

// What no output depends on goes; the answers stay, bit by bit.
func TestDropUnused(t *testing.T) {
	g := detector(64, 96)
	g.conv("nobody", "a", 8, 8, 1)
	g.op("Relu", "asks", []string{"nobody"})
	file, dims := g.Bytes(), []int64{1, 3, 64, 96}
	nodes, weights := len(g.nodes), len(g.weights)
	g = parsed(t, file)
	g.removeUnused()
	require.Len(t, g.nodes, nodes-2)
	require.Len(t, g.weights, weights-1)
	require.Equal(t, run(t, file, "x", dims, rowsAndFew...), run(t, g.Bytes(), "x", dims, rowsAndFew...))
}

// A file that cannot be taken apart is told apart from one that can.
func TestNotUnderstood(t *testing.T) {
	loop := onnxgraph.Embedder(0, onnxgraph.Endless).Data // a network in a network
	sound := detector(64, 96).Bytes()
	twice := detector(64, 96)
	twice.op("Relu", "rows", []string{"x"})
	two := append(slices.Clone(sound), sound...)
	function := appendBytes(slices.Clone(sound), modelFunctions, "\x0a\x01f")
	for name, file := range map[string][]byte{
		"a loop": loop, "cut off": sound[:len(sound)-1], "empty": nil, "made twice": twice.Bytes(), "two networks": two,
		"functions": function, "no tag": {0xff}, "short": []byte("\x3a\x05ab"), "short inside": []byte("\x3a\x02\x0a\x7f"), "no graph": []byte("\x08\x08"),
	} {
		_, err := parse(file)
		require.ErrorIs(t, err, ErrUnsupported, name)
	}
}

// FuzzNetwork damages networks: none makes the changes fail, and a network that ONNX
// Runtime runs answers the same when it is changed.
func FuzzNetwork(f *testing.F) {
	for _, n := range []*Graph{detector(32, 32), activated([]int64{8, 1, 1}, 0.25, -0.5, 0, 1, -1, 2, 0.1, 0.99), activated([]int64{1}, 0.5)} {
		f.Add(n.Bytes())
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		n, err := Network(file)
		if err != nil {
			return
		}
		changed := n.Bytes()
		if _, err := parse(changed); err != nil {
			t.Fatalf("what was changed is not understood: %v", err)
		}
		inputs, outputs, complete := n.Signature()
		if !complete || len(inputs) != 1 || inputs[0].Element != elementFloat {
			return
		}
		compareRuns(t, file, changed, inputs[0], outputs)
	})
}

// compareRuns holds the answers of two files against each other where the first of
// them can be run with a small image.
func compareRuns(t *testing.T, file, changed []byte, input Value, outputs []Value) {
	dims := slices.Clone(input.Dimensions)
	for i, d := range dims {
		if d < 0 {
			dims[i] = []int64{1, 3, 32, 32}[i%4]
		}
	}
	if n := product(dims); len(dims) > 4 || n < 1 || n > 1<<16 {
		return
	}
	var names []string
	for _, o := range outputs {
		if o.Element != elementFloat {
			return
		}
		names = append(names, o.Name)
	}
	values, rng := make([]float32, product(dims)), rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	want, err := feed(file, input.Name, dims, values, names)
	if err != nil || !finite(want) {
		return
	}
	got, err := feed(changed, input.Name, dims, values, names)
	require.NoError(t, err)
	for i := range want {
		require.Len(t, got[i], len(want[i]))
		largest := 0.0
		for _, v := range want[i] {
			largest = max(largest, float64(v), -float64(v))
		}
		for j, v := range want[i] {
			require.InDelta(t, v, got[i][j], 1e-3*largest+1e-6)
		}
	}
}

func finite(all [][]float32) bool {
	for _, some := range all {
		for _, v := range some {
			if v-v != 0 || v > 1e30 || v < -1e30 {
				return false
			}
		}
	}
	return true
}
