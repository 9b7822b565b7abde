package onnxgraph

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"testing/fstest"

	"imago/config"
)

// Model is an ONNX file and the manifest that describes it.
type Model struct {
	Data     []byte
	Manifest config.Manifest
}

// FS returns a folder with the file in it.
func (m Model) FS() fs.FS {
	return fstest.MapFS{m.Manifest.File: &fstest.MapFile{Data: m.Data, Mode: 0o444}}
}

// newModel completes a manifest from the file.
func newModel(data []byte, m config.Manifest) Model {
	sum := sha256.Sum256(data)
	m.File = m.Name + ".onnx"
	m.SHA256 = hex.EncodeToString(sum[:])
	m.Size = int64(len(data))
	m.Licence = "Apache-2.0"
	return Model{Data: data, Manifest: m}
}

// Fault is what is wrong with a network. All but MissingOutput and WrongShape
// show only when a white pixel (255, 255, 255) is in the input, so that a
// network starts well and fails later.
type Fault int

// The faults.
const (
	Sound         Fault = iota
	MissingOutput       // the last output is not there
	WrongShape          // the first output is one number short for each row
	NotFinite           // scores or vectors are NaN
	ZeroVector          // vectors (embedder) or scores (detector) are all zero
	Endless             // the run does not end within a lifetime
)

// white returns a value that is 1 where the input holds a white pixel and 0
// otherwise, given what channel 0 of one is fed as, less a margin.
func (g *graph) white(input string, threshold float32) string {
	brightest := g.op("ReduceMax", []string{input}, integer("keepdims", 0))
	reached := g.op("GreaterOrEqual", []string{brightest, g.floats(nil, threshold)})
	return g.op("Cast", []string{reached}, integer("to", typeFloat))
}

// spoil returns value as the fault has it once white is 1.
func (g *graph) spoil(value, white string, fault Fault) string {
	switch fault {
	case NotFinite:
		nan := g.op("Sqrt", []string{g.op("Neg", []string{white})})
		return g.op("Add", []string{value, nan})
	case ZeroVector:
		return g.op("Mul", []string{value, g.op("Sub", []string{g.floats(nil, 1), white})})
	case Endless:
		return g.op("Add", []string{value, g.endless(white)})
	}
	return value
}

// endless returns zero after 2^40 rounds of a small matrix product where white
// is 1 and after none where it is 0.
func (g *graph) endless(white string) string {
	const side, rounds = 64, 1 << 40
	trips := g.op("Cast", []string{g.op("Mul", []string{white, g.floats(nil, rounds)})}, integer("to", typeInt64))
	body := &graph{}
	body.inputs = [][]byte{
		valueInfo("round", typeInt64, nil), valueInfo("go_on", typeBool, nil), valueInfo("m", typeFloat, []any{side, side}),
	}
	body.node("Identity", []string{"go_on"}, []string{"again"})
	body.node("MatMul", []string{"m", "m"}, []string{"product"})
	body.outputs = [][]byte{valueInfo("again", typeBool, nil), valueInfo("product", typeFloat, []any{side, side})}
	zeros := g.floats([]int64{side, side}, make([]float32, side*side)...)
	last := g.op("Loop", []string{trips, "", zeros}, subgraph("body", body.encode("body")))
	return g.op("ReduceMax", []string{last}, integer("keepdims", 0))
}
