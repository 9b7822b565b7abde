package rewrite

import "slices"

// removeUnused removes what no output depends on, such as the slopes of a replaced PRelu.
func (g *Graph) removeUnused() {
	needed := g.needed()
	g.nodes = slices.DeleteFunc(g.nodes, func(o *node) bool { return !containsAny(needed, o.outputs) })
	g.weights = slices.DeleteFunc(g.weights, func(w *value) bool { return !needed[w.name] })
	g.infos = slices.DeleteFunc(g.infos, func(v *value) bool { return !needed[v.name] })
}

// needed returns the outputs and all tensors that they depend on. Nodes are mostly in
// topological order, so that one backward pass finds them all and a second confirms it.
func (g *Graph) needed() map[string]bool {
	needed := map[string]bool{}
	for _, out := range g.outputs {
		needed[out.name] = true
	}
	for before := 0; before < len(needed); {
		before = len(needed)
		for _, o := range slices.Backward(g.nodes) {
			if !containsAny(needed, o.outputs) {
				continue
			}
			for _, name := range o.inputs {
				needed[name] = true
			}
		}
	}
	return needed
}

func containsAny(set map[string]bool, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return set[name] })
}
