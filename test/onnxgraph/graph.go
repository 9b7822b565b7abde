package onnxgraph

import "fmt"

// The versions that the files declare: ONNX 1.12.
const (
	irVersion    = 8
	opsetVersion = 17
)

// graph is an onnx.GraphProto under construction. Values are named by strings.
type graph struct {
	nodes, initializers, inputs, outputs [][]byte
	names                                int
}

// fresh returns a name that is not in use.
func (g *graph) fresh() string {
	g.names++
	return fmt.Sprintf("v%d", g.names)
}

// floats adds a constant and returns its name.
func (g *graph) floats(dims []int64, values ...float32) string {
	name := g.fresh()
	g.initializers = append(g.initializers, tensor(name, typeFloat, dims, rawFloats(values)))
	return name
}

// ints adds a constant list of whole numbers and returns its name.
func (g *graph) ints(values ...int64) string {
	name := g.fresh()
	g.initializers = append(g.initializers, tensor(name, typeInt64, []int64{int64(len(values))}, rawInts(values)))
	return name
}

// per adds one constant a channel, for 1 x C x height x width.
func (g *graph) per(values ...float32) string {
	return g.floats([]int64{1, int64(len(values)), 1, 1}, values...)
}

// op adds a node with one output and returns the output's name.
func (g *graph) op(kind string, inputs []string, attributes ...[]byte) string {
	output := g.fresh()
	g.node(kind, inputs, []string{output}, attributes...)
	return output
}

// node adds an onnx.NodeProto.
func (g *graph) node(kind string, inputs, outputs []string, attributes ...[]byte) {
	var m message
	for _, name := range inputs {
		m.text(1, name)
	}
	for _, name := range outputs {
		m.text(2, name)
	}
	m.text(4, kind)
	for _, a := range attributes {
		m.bytes(5, a)
	}
	g.nodes = append(g.nodes, m)
}

// input declares a float32 input.
func (g *graph) input(name string, dims ...any) {
	g.inputs = append(g.inputs, valueInfo(name, typeFloat, dims))
}

// output gives a value its public name and declares it as a float32 output.
func (g *graph) output(name, value string, dims ...any) {
	g.node("Identity", []string{value}, []string{name})
	g.outputs = append(g.outputs, valueInfo(name, typeFloat, dims))
}

// encode returns the onnx.GraphProto.
func (g *graph) encode(name string) []byte {
	var m message
	for _, n := range g.nodes {
		m.bytes(1, n)
	}
	m.text(2, name)
	for _, i := range g.initializers {
		m.bytes(5, i)
	}
	for _, i := range g.inputs {
		m.bytes(11, i)
	}
	for _, o := range g.outputs {
		m.bytes(12, o)
	}
	return m
}

// model returns the file: an onnx.ModelProto.
func (g *graph) model(name string) []byte {
	var opset, m message
	opset.text(1, "")
	opset.varint(2, opsetVersion)
	m.varint(1, irVersion)
	m.text(2, "imago/test/onnxgraph")
	m.bytes(7, g.encode(name))
	m.bytes(8, opset)
	return m
}

// integer, integers and subgraph encode onnx.AttributeProto.
func integer(name string, v int64) []byte {
	const attributeInt = 2
	var m message
	m.text(1, name)
	m.varint(3, v)
	m.varint(20, attributeInt)
	return m
}

func integers(name string, values ...int64) []byte {
	const attributeInts = 7
	var m message
	m.text(1, name)
	for _, v := range values {
		m.varint(8, v)
	}
	m.varint(20, attributeInts)
	return m
}

func subgraph(name string, encoded []byte) []byte {
	const attributeGraph = 5
	var m message
	m.text(1, name)
	m.bytes(6, encoded)
	m.varint(20, attributeGraph)
	return m
}
