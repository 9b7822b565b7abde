package rewrite

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// detector is a small network of the build of YuNet: two levels, the coarser one added
// to the finer one, and for each a list with a row for each place.
func detector(height, width int64) *Graph {
	n := newNetwork(1, 3, height, width)
	n.op("Relu", "a", []string{n.conv("conv_a", "x", 3, 8, 2)})
	n.op("MaxPool", "pool", []string{"a"}, listAttribute("kernel_shape", 2, 2), listAttribute("strides", 2, 2))
	n.op("BatchNormalization", "norm", []string{
		n.conv("conv_b", "pool", 8, 8, 1),
		n.floats("scale", []int64{8}, 1, 2, 3, 4, 5, 6, 7, 8), n.weight("shift", 8), n.weight("mean", 8), n.floats("var", []int64{8}, 1, 2, 1, 2, 1, 2, 1, 2)})
	n.op("PRelu", "fine", []string{"norm", n.weight("slope", 8, 1, 1)})
	n.op("Sigmoid", "coarse", []string{n.conv("conv_c", "fine", 8, 8, 2)})
	n.op("Resize", "up", []string{"coarse", "", n.floats("scales", []int64{4}, 1, 1, 2, 2)})
	n.op("Add", "sum", []string{"fine", "up"})
	n.op("Mul", "scaled", []string{"sum", n.weight("factor", 1, 8, 1, 1)})
	n.op("Concat", "both", []string{"scaled", "fine"}, intAttribute("axis", 1))
	for i, from := range []string{"both", "coarse"} {
		name := []string{"rows", "few"}[i]
		channels := []int64{16, 8}[i]
		n.op("Transpose", name+"_t", []string{from}, listAttribute("perm", 0, 2, 3, 1))
		n.op("Reshape", name, []string{name + "_t", n.ints(name+"_shape", 1, -1, channels)})
		side := []int64{4, 8}[i]
		n.output(name, 1, height/side*(width/side), channels)
	}
	return n
}

var rowsAndFew = []string{"rows", "few"}

// A network with free sides answers what the same network does that was made for these
// sides.
func TestFreeSides(t *testing.T) {
	free := parsed(t, detector(64, 96).Bytes())
	free.makeSidesDynamic()
	inputs, outputs, complete := free.Signature()
	require.True(t, complete)
	require.Equal(t, []int64{1, 3, -1, -1}, inputs[0].Dimensions)
	require.Equal(t, []int64{1, -1, 16}, outputs[0].Dimensions)
	for _, sides := range [][]int64{{64, 96}, {32, 32}, {96, 64}, {160, 32}} {
		dims := []int64{1, 3, sides[0], sides[1]}
		want := run(t, detector(sides[0], sides[1]).Bytes(), "x", dims, rowsAndFew...)
		require.Equal(t, want, run(t, free.Bytes(), "x", dims, rowsAndFew...))
	}
}

// Where anything depends on the sides, or is not known not to, they stay.
func TestSidesThatStay(t *testing.T) {
	// changed is the detector with one of its operations in another form.
	changed := func(output string, change func(n *Graph, o *node) *node) func() *Graph {
		return func() *Graph {
			n := detector(64, 96)
			for i, o := range n.nodes {
				if o.outputs[0] == output {
					n.nodes[i] = change(n, o)
				}
			}
			return n
		}
	}
	for name, build := range map[string]func() *Graph{
		"a shape with the number of places": changed("rows", func(n *Graph, o *node) *node {
			return newNode("Reshape", []string{"rows_t", n.ints("fixed", 1, 16*24, -1)}, "rows")
		}),
		"a shape that mixes places and channels": changed("rows", func(n *Graph, o *node) *node {
			return newNode("Reshape", []string{"rows_t", n.ints("mixed", 1, -1, 8)}, "rows")
		}),
		"a shape that is computed": changed("rows", func(n *Graph, o *node) *node {
			n.nodes = append(n.nodes, newNode("Shape", []string{"both"}, "computed"))
			return newNode("Reshape", []string{"rows_t", "computed"}, "rows")
		}),
		"a product over all places": changed("coarse", func(n *Graph, o *node) *node {
			return newNode("GlobalAveragePool", []string{"conv_c"}, "coarse")
		}),
		"a constant of the size of the image": changed("scaled", func(n *Graph, o *node) *node {
			return newNode("Mul", []string{"sum", n.weight("image", 1, 8, 16, 24)}, "scaled")
		}),
		"a constant of the width": changed("scaled", func(n *Graph, o *node) *node {
			return newNode("Mul", []string{"sum", n.weight("columns", 24)}, "scaled")
		}),
		"a convolution that cuts the edge": changed("conv_b", func(n *Graph, o *node) *node {
			return newNode("Conv", []string{"pool", "conv_b_w"}, "conv_b", listAttribute("kernel_shape", 3, 3), listAttribute("pads", 1, 1, 0, 0))
		}),
		"a stride that does not divide": changed("conv_a", func(n *Graph, o *node) *node {
			return newNode("Conv", []string{"x", "conv_a_w"}, "conv_a", listAttribute("kernel_shape", 3, 3), listAttribute("pads", 1, 1, 1, 1), listAttribute("strides", 3, 3))
		}),
		"padding that follows the size": changed("conv_b", func(n *Graph, o *node) *node {
			automatic := appendBytes(appendBytes(nil, attributeName, "auto_pad"), attributeString, "SAME_UPPER")
			return newNode("Conv", []string{"pool", "conv_b_w"}, "conv_b", listAttribute("kernel_shape", 3, 3), automatic)
		}),
		"an enlargement to a size": changed("up", func(n *Graph, o *node) *node {
			return newNode("Resize", []string{"coarse", "", "", n.ints("sizes", 1, 8, 16, 24)}, "up")
		}),
		"an enlargement by a part": changed("up", func(n *Graph, o *node) *node {
			return newNode("Resize", []string{"coarse", "", n.floats("part", []int64{4}, 1, 1, 2, 2.5)}, "up")
		}),
		"windows that are rounded up": changed("pool", func(n *Graph, o *node) *node {
			return newNode("MaxPool", []string{"a"}, "pool", listAttribute("kernel_shape", 2, 2), listAttribute("strides", 2, 2), intAttribute("ceil_mode", 1))
		}),
		"an operation that is not known": changed("coarse", func(n *Graph, o *node) *node {
			return newNode("Softmax", []string{"conv_c"}, "coarse", intAttribute("axis", 3))
		}),
		"two inputs": func() *Graph {
			n := detector(64, 96)
			n.inputs = append(n.inputs, declare("z", 1))
			return n
		},
		"open sides": func() *Graph { return detector(0, 0) },
		"an output that nothing makes": func() *Graph {
			n := detector(64, 96)
			n.output("nothing", 1)
			return n
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := build().Bytes()
			n := parsed(t, file)
			n.makeSidesDynamic()
			require.Equal(t, file, n.Bytes())
		})
	}
}
