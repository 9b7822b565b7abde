package rewrite

import "slices"

// fixWeights takes the weights out of the inputs. A file may declare them as inputs
// too, so that a caller can replace them at each run; ONNX Runtime then folds and packs
// none of them. Nobody replaces them here.
func (g *Graph) fixWeights() {
	if g.irVersion < constantsByDefault {
		return // they are constants, and have to be declared
	}
	weights := map[string]bool{}
	for _, w := range g.weights {
		weights[w.name] = true
	}
	g.inputs = slices.DeleteFunc(g.inputs, func(in *value) bool { return weights[in.name] })
}
