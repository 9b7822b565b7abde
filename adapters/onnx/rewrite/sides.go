package rewrite

import "slices"

// makeSidesDynamic makes the fixed height and width of a network's only image input
// dynamic (multiples of 32), where nothing depends on them: every operation works for any
// size, every intermediate side is the input's divided by a power of two, and no constant
// shape contains them. Any other network is left unchanged.
func (g *Graph) makeSidesDynamic() {
	if len(g.inputs) != 1 {
		return
	}
	in, dims, err := parseValue(g.inputs[0])
	if err != nil || in != elementFloat || len(dims) != 4 || slices.Min(dims) < 1 {
		return
	}
	shapes := map[string]shape{g.inputs[0].name: {{fixed: dims[0]}, {fixed: dims[1]}, {axis: height, per: 1}, {axis: width, per: 1}}}
	if !g.inferShapes(shapes) {
		return
	}
	outputs := make([]*value, len(g.outputs))
	for i, out := range g.outputs {
		kind, _, err := parseValue(out)
		s, ok := shapes[out.name]
		if err != nil || !ok {
			return
		}
		outputs[i] = newValue(out.name, kind, s)
	}
	g.inputs[0] = newValue(g.inputs[0].name, in, shapes[g.inputs[0].name])
	g.outputs, g.infos = outputs, nil
}

// coarsest is the divisor of the sides of the input.
const coarsest = 32

// axis is the side of the input that a dimension depends on.
type axis int

const (
	none   axis = iota
	height      // of the input
	width
	cells // height times width, flattened
)

// dim is one dimension: a fixed one, or a side of the input divided by per, which
// divides coarsest.
type dim struct {
	fixed int64
	axis  axis
	per   int64
}

type shape []dim

// isImage reports whether a shape is N × C × height/per × width/per.
func (s shape) isImage() bool {
	return len(s) == 4 && s[0].axis == none && s[1].axis == none && s[2].axis == height && s[3].axis == width
}

// inferShapes infers the shape of every tensor, and reports whether it could.
func (g *Graph) inferShapes(shapes map[string]shape) bool {
	at := g.index()
	for _, o := range g.nodes {
		rule := rules[o.kind]
		if rule == nil || len(o.inputs) == 0 || len(o.outputs) != 1 {
			return false
		}
		s, ok := rule(o, shapes, at)
		if !ok {
			return false
		}
		shapes[o.outputs[0]] = s
	}
	return true
}

// rules infer the output shape of an operation, and report whether it is supported.
var rules = map[string]func(o *node, shapes map[string]shape, at index) (shape, bool){
	"Relu": sameShape, "LeakyRelu": sameShape, "Sigmoid": sameShape, "Tanh": sameShape, "Clip": sameShape,
	"BatchNormalization": sameShape,
	"PRelu":              combined, "Add": combined, "Sub": combined, "Mul": combined,
	"Conv": convolved, "MaxPool": pooled,
	"Resize": resized, "Concat": concatenated, "Transpose": transposed, "Reshape": reshaped,
}

// sameShape is the rule where all inputs but the first are constants.
func sameShape(o *node, shapes map[string]shape, at index) (shape, bool) {
	for _, name := range o.inputs[1:] {
		if name != "" && at.constants[name] == nil {
			return nil, false
		}
	}
	s, ok := shapes[o.inputs[0]]
	return s, ok
}

// combined is the rule of elementwise operations on two tensors of one shape, or with a
// constant for each channel.
func combined(o *node, shapes map[string]shape, at index) (shape, bool) {
	if len(o.inputs) != 2 {
		return nil, false
	}
	a, okA := shapes[o.inputs[0]]
	b, okB := shapes[o.inputs[1]]
	switch {
	case okA && okB:
		return a, slices.Equal(a, b)
	case okA:
		return a, a.isImage() && isPerChannel(at.constants[o.inputs[1]], a[1].fixed)
	case okB:
		return b, b.isImage() && isPerChannel(at.constants[o.inputs[0]], b[1].fixed)
	}
	return nil, false
}

func isPerChannel(w *value, channels int64) bool {
	if w == nil {
		return false
	}
	t, err := parseTensor(w)
	return err == nil && perChannel(t.dims, channels)
}

// convolved is the rule of two-dimensional convolutions.
func convolved(o *node, shapes map[string]shape, at index) (shape, bool) {
	s := shapes[o.inputs[0]]
	channels, ok := convChannels(o, at)
	if !ok || len(o.inputs) > 2 && at.constants[o.inputs[2]] == nil {
		return nil, false
	}
	t, err := parseTensor(at.constants[o.inputs[1]])
	if err != nil {
		return nil, false
	}
	s, ok = strided(o, s, t.dims[2:])
	if ok {
		s[1] = dim{fixed: channels}
	}
	return s, ok
}

// pooled is the rule of two-dimensional pooling.
func pooled(o *node, shapes map[string]shape, _ index) (shape, bool) {
	if o.integer("ceil_mode", 0) != 0 {
		return nil, false
	}
	return strided(o, shapes[o.inputs[0]], o.list("kernel_shape"))
}

// strided is the output shape of a sliding window over an image whose sides are multiples
// of its strides: the side divided by the stride, where padding and window allow it. With
// an extent of e, a total padding of p and a stride of s the output side is
// floor((side+p-e)/s)+1 (ONNX, Conv), which is side/s where e-s <= p < e.
func strided(o *node, in shape, window []int64) (shape, bool) {
	pads, okPads := o.each("pads", 4, 0)
	strides, okStrides := o.each("strides", 2, 1)
	dilations, okDilations := o.each("dilations", 2, 1)
	okWindow := len(window) == 2 && slices.Min(window) >= 1 && slices.Max(window) <= maxExtent
	if !in.isImage() || !o.isPaddedAsWritten() || !okWindow || !okPads || !okStrides || !okDilations {
		return nil, false
	}
	out := slices.Clone(in)
	for i := range 2 {
		stride, pad := strides[i], pads[i]+pads[i+2]
		reach := dilations[i]*(window[i]-1) + 1
		if stride < 1 || stride > coarsest || pad < reach-stride || pad >= reach {
			return nil, false
		}
		out[2+i].per *= stride
		if coarsest%out[2+i].per != 0 {
			return nil, false
		}
	}
	return out, true
}

// resized is the rule of upsampling both sides by an integer.
func resized(o *node, shapes map[string]shape, at index) (shape, bool) {
	in := shapes[o.inputs[0]]
	if !in.isImage() || len(o.inputs) != 3 || o.has("axes") || at.constants[o.inputs[2]] == nil {
		return nil, false
	}
	t, err := parseTensor(at.constants[o.inputs[2]])
	if err != nil {
		return nil, false
	}
	scales, err := t.floats()
	if err != nil || len(scales) != 4 || scales[0] != 1 || scales[1] != 1 {
		return nil, false
	}
	out := slices.Clone(in)
	for i := 2; i < 4; i++ {
		if scales[i] < 1 || scales[i] > coarsest {
			return nil, false
		}
		times := int64(scales[i])
		if float32(times) != scales[i] || out[i].per%times != 0 {
			return nil, false
		}
		out[i].per /= times
	}
	return out, true
}

// concatenated is the rule of concatenating images along their channels.
func concatenated(o *node, shapes map[string]shape, _ index) (shape, bool) {
	var out shape
	for _, name := range o.inputs {
		s := shapes[name]
		if !s.isImage() || o.integer("axis", -1) != 1 {
			return nil, false
		}
		if out == nil {
			out = slices.Clone(s)
			continue
		}
		if out[0] != s[0] || out[2] != s[2] || out[3] != s[3] {
			return nil, false
		}
		out[1].fixed += s[1].fixed
	}
	return out, true
}

func transposed(o *node, shapes map[string]shape, _ index) (shape, bool) {
	in, perm := shapes[o.inputs[0]], o.list("perm")
	if len(in) == 0 || len(perm) != len(in) {
		return nil, false
	}
	out, seen := make(shape, len(in)), map[int64]bool{}
	for i, p := range perm {
		if p < 0 || p >= int64(len(in)) || seen[p] {
			return nil, false
		}
		out[i], seen[p] = in[p], true
	}
	return out, true
}

// reshaped is the rule of shapes that flatten height and width into their only dynamic
// dimension.
func reshaped(o *node, shapes map[string]shape, at index) (shape, bool) {
	in := shapes[o.inputs[0]]
	if len(in) == 0 || len(o.inputs) != 2 || at.constants[o.inputs[1]] == nil {
		return nil, false
	}
	t, err := parseTensor(at.constants[o.inputs[1]])
	if err != nil {
		return nil, false
	}
	target, err := t.int64s()
	if err != nil {
		return nil, false
	}
	have, sides, per := int64(1), map[axis]int{}, int64(1)
	for _, d := range in {
		if d.axis == none {
			have *= d.fixed
			continue
		}
		sides[d.axis]++
		per *= d.per
	}
	if len(sides) != 2 || sides[height] != 1 || sides[width] != 1 {
		return nil, false
	}
	out, open, want := make(shape, len(target)), 0, int64(1)
	for i, d := range target {
		switch {
		case d == -1:
			open++
			out[i] = dim{axis: cells, per: per}
		case d < 1:
			return nil, false
		default:
			want *= d
			out[i] = dim{fixed: d}
		}
	}
	return out, open == 1 && want == have
}

// maxExtent bounds windows, strides and paddings.
const maxExtent = 1 << 16

// each returns an attribute of n integers, n times the fallback where it is absent, and
// whether it has n values within bounds.
func (o *node) each(name string, n int, fallback int64) ([]int64, bool) {
	if !o.has(name) {
		return slices.Repeat([]int64{fallback}, n), true
	}
	values := o.list(name)
	return values, len(values) == n && slices.Min(values) >= 0 && slices.Max(values) <= maxExtent
}

// isPaddedAsWritten reports whether the padding is explicit, in the attribute pads.
func (o *node) isPaddedAsWritten() bool {
	f, ok := first(o.attributes["auto_pad"], attributeString)
	return !ok || string(f.content) == "NOTSET"
}

// has reports whether an operation has an attribute.
func (o *node) has(name string) bool { return o.attributes[name] != nil }

// integer returns an integer attribute, or else the fallback.
func (o *node) integer(name string, fallback int64) int64 {
	if f, ok := first(o.attributes[name], attributeInt); ok {
		return int64(f.varint)
	}
	return fallback
}

// list returns an attribute of integers, nil where there is none.
func (o *node) list(name string) []int64 {
	values, err := integers(o.attributes[name], attributeInts)
	if err != nil {
		return nil
	}
	return values
}
