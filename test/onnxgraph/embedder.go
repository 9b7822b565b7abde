package onnxgraph

import (
	"math/rand/v2"

	"imago/config"
)

// Dimension is the length of the vectors of Embedder.
const Dimension = 16

// Embedder returns an embedder for RGB input v/255: a fixed matrix times the
// chip's means over a grid of 8 x 8. A black chip gives the zero vector. With
// batch 0 it takes any number of chips at once, otherwise that many.
func Embedder(batch int, fault Fault) Model {
	const pixels, grid = 112, 8
	g := &graph{}
	g.input("input", side(batch, "batch"), 3, pixels, pixels)
	cell := int64(pixels / grid)
	means := g.op("AveragePool", []string{"input"}, integers("kernel_shape", cell, cell), integers("strides", cell, cell))
	flat := g.op("Flatten", []string{means}, integer("axis", 1))
	rng := rand.New(rand.NewPCG(1, 2))
	matrix := make([]float32, 3*grid*grid*Dimension)
	for i := range matrix {
		matrix[i] = float32(rng.NormFloat64())
	}
	vectors := g.op("MatMul", []string{flat, g.floats([]int64{3 * grid * grid, Dimension}, matrix...)})
	white := g.white(g.op("ReduceMin", []string{"input"}, integers("axes", 1)), 254.5/255)
	vectors = g.spoil(vectors, white, fault)
	if fault == MissingOutput {
		g.output("width", g.op("ReduceMax", []string{vectors}, integer("keepdims", 0)))
	} else {
		g.publish([]string{"embedding"}, fault, func(string) (string, []any) {
			return vectors, []any{side(batch, "batch"), Dimension}
		})
	}
	return newModel(g.model("embedder"), config.Manifest{
		Name: "embedder", Kind: config.KindEmbedder,
		Input:  config.ModelInput{Colour: "RGB", Scale: 1.0 / 255, Std: triple(1), Size: pixels},
		Output: config.ModelOutput{Contract: config.ContractEmbedding, Dimension: Dimension},
		Calibration: &config.Calibration{Midpoint: 0.4, Steepness: 20, Provisional: true,
			Basis: "none: a network for tests"},
	})
}
