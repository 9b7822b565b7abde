package rewrite

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	ort "github.com/yalue/onnxruntime_go"

	"imago/test/fixture"
)

// The networks here are run by ONNX Runtime itself.
func TestMain(m *testing.M) {
	ort.SetSharedLibraryPath(fixture.ONNXRuntime(panicking{}))
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = ort.DestroyEnvironment()
	os.Exit(code)
}

// panicking is the testing.TB of TestMain, which has none.
type panicking struct{ testing.TB }

func (panicking) Helper()                        {}
func (panicking) Fatalf(format string, a ...any) { panic(format) }
func (panicking) Skipf(format string, a ...any)  { panic(format) }

// newNetwork returns a network of one input of N × C × H × W, of which a length of 0 is
// open.
func newNetwork(dims ...int64) *Graph {
	return &Graph{
		irVersion: 8, opset: 13, names: map[string]bool{"x": true},
		model:  modelFields(8, 13),
		inputs: []*value{declare("x", dims...)},
	}
}

func modelFields(irVersion, opset int64) []field {
	message := appendInt(nil, modelIRVersion, irVersion)
	message = appendBytes(message, modelOpset, appendInt(nil, opsetVersion, opset))
	fields, _ := split(message)
	return fields
}

func declare(name string, dims ...int64) *value {
	var s shape
	for _, d := range dims {
		s = append(s, dim{fixed: d, axis: map[bool]axis{true: cells}[d == 0]})
	}
	return newValue(name, elementFloat, s)
}

// weight adds a constant of noise.
func (n *Graph) weight(name string, dims ...int64) string {
	rng := rand.New(rand.NewPCG(uint64(len(name)), uint64(product(dims))))
	values := make([]float32, product(dims))
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	return n.floats(name, dims, values...)
}

func (n *Graph) floats(name string, dims []int64, values ...float32) string {
	n.weights = append(n.weights, newFloats(name, dims, values))
	return name
}

func (n *Graph) ints(name string, values ...int64) string {
	message := appendInt(nil, tensorDims, int64(len(values)))
	message = appendInt(message, tensorType, elementInt64)
	for _, v := range values {
		message = appendInt(message, tensorInt64s, v)
	}
	n.weights = append(n.weights, &value{name: name, raw: appendBytes(message, tensorName, name)})
	return name
}

// op adds an operation and returns the name of what it makes.
func (n *Graph) op(kind, output string, inputs []string, attributes ...[]byte) string {
	n.nodes = append(n.nodes, newNode(kind, inputs, output, attributes...))
	return output
}

// conv adds a convolution of a number of channels that keeps the sides, or halves them.
func (n *Graph) conv(output, input string, from, to, stride int64) string {
	return n.op("Conv", output, []string{input, n.weight(output+"_w", to, from, 3, 3)},
		listAttribute("kernel_shape", 3, 3), listAttribute("pads", 1, 1, 1, 1), listAttribute("strides", stride, stride))
}

func listAttribute(name string, values ...int64) []byte {
	return newAttribute(name, attributeTypeInts, attributeInts, values...)
}

func intAttribute(name string, v int64) []byte {
	return newAttribute(name, attributeTypeInt, attributeInt, v)
}

// output declares one with as many open dimensions as are given.
func (n *Graph) output(name string, dims ...int64) {
	n.outputs = append(n.outputs, declare(name, dims...))
}

// run feeds noise of a shape to a network and returns its outputs.
func run(tb testing.TB, file []byte, input string, dims []int64, outputs ...string) [][]float32 {
	tb.Helper()
	noise, rng := make([]float32, product(dims)), rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = float32(rng.NormFloat64())
	}
	all, err := feed(file, input, dims, noise, outputs)
	require.NoError(tb, err)
	return all
}

func feed(file []byte, input string, dims []int64, values []float32, outputs []string) (all [][]float32, err error) {
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(file, []string{input}, outputs, nil)
	if err != nil {
		return nil, err
	}
	defer session.Destroy()
	in, err := ort.NewTensor(ort.NewShape(dims...), values)
	if err != nil {
		return nil, err
	}
	defer in.Destroy()
	out := make([]ort.Value, len(outputs))
	if err := session.Run([]ort.Value{in}, out); err != nil {
		return nil, err
	}
	for _, v := range out {
		all = append(all, append([]float32{}, v.(*ort.Tensor[float32]).GetData()...))
		_ = v.Destroy()
	}
	return all, nil
}

// parsed takes a file apart that is understood.
func parsed(tb testing.TB, file []byte) *Graph {
	tb.Helper()
	n, err := parse(file)
	require.NoError(tb, err)
	return n
}

// kinds returns the operations of a network.
func (n *Graph) kinds() (all []string) {
	for _, o := range n.nodes {
		all = append(all, o.kind)
	}
	return all
}

// requireClose holds outputs against others: equal, but for roundings in parts of the
// largest.
func requireClose(tb testing.TB, want, got [][]float32, part float64) {
	tb.Helper()
	require.Len(tb, got, len(want))
	for i := range want {
		require.Len(tb, got[i], len(want[i]))
		largest := 0.0
		for _, v := range want[i] {
			largest = max(largest, float64(v), -float64(v))
		}
		require.NotZero(tb, largest)
		for j := range want[i] {
			require.InDelta(tb, want[i][j], got[i][j], part*largest, "output %d, element %d", i, j)
		}
	}
}
