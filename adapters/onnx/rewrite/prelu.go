package rewrite

// replacePReLU replaces PRelu by operations that ONNX Runtime runs in its blocked layout
// (NCHWc). It has no NCHWc kernel for PRelu: the input is reordered and processed by
// scalar code, which took half of the time of SFace. Where x is the output of a
// convolution and a is the slope of each channel,
//
//	PRelu(x) = a·x + relu((1-a)·x)   for -1 <= a <= 1
//	PRelu(x) = relu(x) + -a·relu(-x) for any a
//
// in which each product is a depthwise 1×1 convolution, with which Relu and Add are
// fused. The first form takes two passes and at most two roundings more than PRelu;
// the second takes three and has no more than PRelu. A slope outside of the first
// form's range would have it cancel or, above 1, be wrong.
func (g *Graph) replacePReLU() {
	at := g.index()
	var nodes []*node
	for _, o := range g.nodes {
		slopes, ok := g.slopes(o, at)
		if !ok {
			nodes = append(nodes, o)
			continue
		}
		nodes = append(nodes, g.split(o, slopes)...)
	}
	g.nodes = nodes
}

// firstPerChannel is the first opset in which the slopes of PRelu are broadcast like the
// inputs of other operators.
const firstPerChannel = 7

// slopes returns the slope of each channel of a PRelu behind a convolution, and whether
// o is one.
func (g *Graph) slopes(o *node, at index) ([]float32, bool) {
	if o.kind != "PRelu" || g.irVersion < implicitConstants || g.opset < firstPerChannel || len(o.inputs) != 2 || len(o.outputs) != 1 || len(o.attributes) > 0 {
		return nil, false
	}
	channels, ok := g.channels(o.inputs[0], at)
	w := at.constants[o.inputs[1]]
	if !ok || w == nil {
		return nil, false
	}
	t, err := parseTensor(w)
	if err != nil || !perChannel(t.dims, channels) {
		return nil, false
	}
	values, err := t.floats()
	if err != nil {
		return nil, false
	}
	for len(values) < int(channels) {
		values = append(values, values[0])
	}
	for _, a := range values {
		if a-a != 0 { // not finite
			return nil, false
		}
	}
	return values, true
}

// perChannel reports whether a constant of these dimensions is broadcast to
// N × channels × height × width along all axes but the channels.
func perChannel(dims []int64, channels int64) bool {
	if len(dims) > 4 || product(dims) != 1 && product(dims) != channels {
		return false
	}
	for i, d := range dims {
		if d != 1 && i != len(dims)-3 {
			return false
		}
	}
	return true
}

// maxChannels bounds the size of the new weights.
const maxChannels = 1 << 16

// channels returns the number of channels of a tensor that a two-dimensional convolution
// produced, and whether one did.
func (g *Graph) channels(name string, at index) (int64, bool) {
	for range g.nodes { // bounded, as the graph may have a cycle
		o := at.producers[name]
		if o == nil || len(o.inputs) == 0 {
			return 0, false
		}
		switch o.kind {
		case "BatchNormalization", "Relu", "PRelu", "Sigmoid":
			name = o.inputs[0]
			continue
		case "Conv":
			return convChannels(o, at)
		}
		return 0, false
	}
	return 0, false
}

func convChannels(o *node, at index) (int64, bool) {
	if len(o.inputs) < 2 {
		return 0, false
	}
	w := at.constants[o.inputs[1]]
	if w == nil {
		return 0, false
	}
	t, err := parseTensor(w)
	if err != nil || len(t.dims) != 4 || t.dims[0] < 1 || t.dims[0] > maxChannels {
		return 0, false
	}
	return t.dims[0], true
}

func (g *Graph) split(o *node, slopes []float32) []*node {
	x, y := o.inputs[0], o.outputs[0]
	linear, positive, scaled := g.fresh(y), g.fresh(y), g.fresh(y)
	if slopesInUnitRange(slopes) {
		return []*node{
			g.scale(x, scaled, slopes, func(a float32) float32 { return 1 - a }),
			newNode("Relu", []string{scaled}, positive),
			g.scale(x, linear, slopes, func(a float32) float32 { return a }),
			newNode("Add", []string{linear, positive}, y),
		}
	}
	negative := g.fresh(y)
	return []*node{
		newNode("Relu", []string{x}, positive),
		g.scale(x, scaled, slopes, func(float32) float32 { return -1 }),
		newNode("Relu", []string{scaled}, negative),
		g.scale(negative, linear, slopes, func(a float32) float32 { return -a }),
		newNode("Add", []string{linear, positive}, y),
	}
}

func slopesInUnitRange(slopes []float32) bool {
	for _, a := range slopes {
		if a < -1 || a > 1 {
			return false
		}
	}
	return true
}

// scale makes a node that multiplies each channel by a factor computed from its slope.
func (g *Graph) scale(x, y string, slopes []float32, factor func(float32) float32) *node {
	factors := make([]float32, len(slopes))
	for i, a := range slopes {
		factors[i] = factor(a)
	}
	w := newFloats(g.fresh(y), []int64{int64(len(factors)), 1, 1, 1}, factors)
	g.weights = append(g.weights, w)
	return newNode("Conv", []string{x, w.name}, y,
		newAttribute("group", attributeTypeInt, attributeInt, int64(len(factors))),
		newAttribute("kernel_shape", attributeTypeInts, attributeInts, 1, 1))
}
