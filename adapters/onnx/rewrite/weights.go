package rewrite

import "slices"

// makeWeightsConstant removes the weights from the inputs. A file may declare them as
// inputs as well, so that a caller can override them in each run, which imago never does;
// ONNX Runtime then neither folds nor packs them.
func (g *Graph) makeWeightsConstant() {
	if g.irVersion < implicitConstants {
		return // constants too, but they must be declared
	}
	weights := map[string]bool{}
	for _, w := range g.weights {
		weights[w.name] = true
	}
	g.inputs = slices.DeleteFunc(g.inputs, func(in *value) bool { return weights[in.name] })
}
