package rewrite

import "slices"

// dropUnused takes out what no output depends on, such as the slopes of a PRelu that is
// no longer there.
func (g *Graph) dropUnused() {
	needed := g.needed()
	g.nodes = slices.DeleteFunc(g.nodes, func(o *node) bool { return !containsAny(needed, o.outputs) })
	g.weights = slices.DeleteFunc(g.weights, func(w *value) bool { return !needed[w.name] })
	g.infos = slices.DeleteFunc(g.infos, func(v *value) bool { return !needed[v.name] })
}

// needed returns the tensors that the outputs depend on, with these. Nodes are sorted
// such that each comes behind those that it depends on, so that one walk backwards
// mostly finds them all, and another sees that it did.
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
