package rewrite

import "slices"

// FixWeights takes the weights out of the inputs. A file may declare them as inputs
// too, so that a caller can replace them at each run; ONNX Runtime then folds and packs
// none of them. Nobody replaces them here.
func (n *Network) FixWeights() {
	if n.irVersion < constantsByDefault {
		return // they are constants, and have to be declared
	}
	weights := map[string]bool{}
	for _, w := range n.weights {
		weights[w.name] = true
	}
	n.inputs = slices.DeleteFunc(n.inputs, func(in *value) bool { return weights[in.name] })
}
