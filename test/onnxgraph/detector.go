package onnxgraph

import (
	"fmt"
	"math"
	"slices"

	"imago/config"
)

// Pattern is where the landmarks of a found square lie, x and y in parts of its
// side from its centre, in the order of ports.Landmarks.
var Pattern = [10]float32{-0.2, -0.25, 0.2, -0.25, 0, 0, -0.15, 0.25, 0.15, 0.25}

// strides are the cell sizes in pixels. The level of stride s finds squares
// with a side of s to 2s pixels.
var strides = []int64{8, 16, 32}

// margin is by how much the ranges of neighbouring cells and levels overlap, in
// cells, so that rounding leaves no gap. What both find is the same box.
const margin = 0.02

// YuNet returns a detector of the contract yunet for BGR input from 0 to 255;
// size fixes the sides of its input, 0 leaves them open. It finds red squares
// on black with a side of 8 to 64 pixels that are at least three sides apart: the
// box is the square, to a fraction of a pixel, the landmarks are Pattern, and
// the score is the square root of the red value over 255.
func YuNet(size int, fault Fault) Model {
	g := &graph{}
	g.input("input", 1, 3, side(size, "height"), side(size, "width"))
	light := g.op("Conv", []string{"input", g.floats([]int64{1, 3, 1, 1}, 0, 0, 1.0/255)})
	white := g.white(g.op("ReduceMin", []string{"input"}, integers("axes", 1)), 254.5)
	outputs := map[string]string{}
	for _, stride := range strides {
		b := g.blob(light, stride)
		name := func(part string) string { return fmt.Sprintf("%s_%d", part, stride) }
		outputs[name("cls")] = g.rows(g.spoil(g.op("Mul", []string{b.peak, b.gate}), white, fault), 1, true)
		outputs[name("obj")] = g.rows(b.gate, 1, true)
		log := g.op("Log", []string{b.side})
		outputs[name("bbox")] = g.rows(g.channels(b.x, b.y, log, log), 4, true)
		outputs[name("kps")] = g.rows(g.landmarks(b), 10, true)
	}
	// Neither this order nor any other is part of the contract.
	order := []string{
		"kps_32", "bbox_8", "cls_16", "obj_32", "kps_8", "cls_8",
		"obj_8", "bbox_32", "kps_16", "obj_16", "cls_32", "bbox_16",
	}
	each := map[byte]int{'k': 10, 'b': 4, 'c': 1, 'o': 1}
	g.publish(order, fault, func(name string) (string, []any) {
		return outputs[name], []any{1, "n_" + name, each[name[0]]}
	})
	return newModel(g.model("yunet"), config.Manifest{
		Name: "yunet", Kind: config.KindDetector,
		Input:  config.ModelInput{Colour: "BGR", Scale: 1, Std: [3]float64{1, 1, 1}, Size: size, Stride: 32},
		Output: config.ModelOutput{Contract: config.ContractYuNet, IoU: 0.3},
	})
}

// SCRFD returns a detector of the contract scrfd for RGB input (v-127.5)/128
// with open sides. It finds what YuNet's finds; the score is the red value over
// 255. The first anchor of a cell answers the same box at half the score.
func SCRFD(fault Fault) Model {
	g := &graph{}
	g.input("input.1", 1, 3, "height", "width")
	light := g.op("Conv", []string{"input.1", g.floats([]int64{1, 3, 1, 1}, 128.0/255, 0, 0), g.floats([]int64{1}, 0.5)})
	white := g.white(g.op("ReduceMin", []string{"input.1"}, integers("axes", 1)), (254.5-127.5)/128)
	var scores, boxes, points []string
	for _, stride := range strides {
		b := g.blob(light, stride)
		score := g.spoil(g.op("Mul", []string{b.peak, b.gate}), white, fault)
		scores = append(scores, g.rows(g.channels(g.op("Mul", []string{score, g.per(0.5)}), score), 1, false))
		half := g.op("Mul", []string{b.side, g.per(0.5)})
		edges := g.op("Add", []string{half, g.channels(g.op("Neg", []string{b.x}), g.op("Neg", []string{b.y}), b.x, b.y)})
		boxes = append(boxes, g.rows(g.channels(edges, edges), 4, false))
		landmarks := g.landmarks(b)
		points = append(points, g.rows(g.channels(landmarks, landmarks), 10, false))
	}
	values := slices.Concat(scores, boxes, points)
	order := []string{"448", "471", "494", "451", "474", "497", "454", "477", "500"} // as InsightFace's files name them
	g.publish(order, fault, func(name string) (string, []any) {
		i := slices.Index(order, name)
		return values[i], []any{"n_" + name, []int{1, 4, 10}[i/3]}
	})
	return newModel(g.model("scrfd"), config.Manifest{
		Name: "scrfd", Kind: config.KindDetector,
		Input:  config.ModelInput{Colour: "RGB", Scale: 1.0 / 128, Mean: triple(127.5 / 128), Std: triple(1), Stride: 32},
		Output: config.ModelOutput{Contract: config.ContractSCRFD, IoU: 0.4},
	})
}

// publish declares the outputs in order, with the fault that concerns them.
func (g *graph) publish(order []string, fault Fault, value func(name string) (string, []any)) {
	if fault == MissingOutput {
		order = order[:len(order)-1]
	}
	for i, name := range order {
		v, dims := value(name)
		if fault == WrongShape && i == 0 {
			last := len(dims) - 1
			narrow := dims[last].(int) - 1
			v = g.op("Slice", []string{v, g.ints(0), g.ints(int64(narrow)), g.ints(int64(last))})
			dims[last] = narrow
		}
		g.output(name, v, dims...)
	}
}

// blob is what one level sees around each of its cells: maps of one channel.
type blob struct {
	x, y string // the light's centre in cells from the cell's corner
	side string // of the square that the light would fill, in cells
	peak string // the strongest light
	gate string // 1 where the centre is in this cell and the side is this level's
}

// reach is how many cells beyond its own a cell looks at in each direction.
const reach = 2

// blob adds the nodes of one level. The light's sum and first moments over the
// five by five cells around a cell are convolutions; its centre is their ratio
// and its side the root of the sum over the peak. Light at the rim of those
// cells is part of something larger, for another level.
func (g *graph) blob(light string, stride int64) blob {
	side, pad := (2*reach+1)*stride, reach*stride
	window := []([]byte){
		integers("kernel_shape", side, side), integers("strides", stride, stride),
		integers("pads", pad, pad, pad, pad),
	}
	moments := g.op("Conv", []string{light, g.moments(stride)}, window...)
	sum, mx, my, rim := g.fresh(), g.fresh(), g.fresh(), g.fresh()
	g.node("Split", []string{moments}, []string{sum, mx, my, rim}, integer("axis", 1))
	tiny := g.floats(nil, 1e-6)
	peak := g.op("MaxPool", []string{light}, window...)
	safe := g.op("Max", []string{sum, tiny})
	area := g.op("Div", []string{safe, g.op("Max", []string{peak, tiny})})
	b := blob{
		x: g.op("Div", []string{mx, safe}), y: g.op("Div", []string{my, safe}),
		side: g.op("Div", []string{g.op("Sqrt", []string{area}), g.floats(nil, float32(stride))}),
		peak: peak,
	}
	const span = 0.5 + margin
	middle, limit := g.per(0.5, 0.5, 1.5, 0), g.per(span, span, span, 1e-3)
	distance := g.op("Abs", []string{g.op("Sub", []string{g.channels(b.x, b.y, b.side, rim), middle})})
	inside := g.op("Cast", []string{g.op("Less", []string{distance, limit})}, integer("to", typeFloat))
	b.gate = g.op("ReduceMin", []string{inside}, integers("axes", 1))
	return b
}

// moments returns the kernels of the sum, the first moments and the rim, with
// positions in cells from the corner of the middle cell to the centre of each
// pixel.
func (g *graph) moments(stride int64) string {
	n := (2*reach + 1) * stride
	values := make([]float32, 4*n*n)
	sum, mx, my, rim := values[:n*n], values[n*n:2*n*n], values[2*n*n:3*n*n], values[3*n*n:]
	at := func(i int64) float32 { return float32((float64(i-reach*stride) + 0.5) / float64(stride)) }
	for y := range n {
		for x := range n {
			i := y*n + x
			sum[i], mx[i], my[i] = 1, at(x), at(y)
			if x == 0 || y == 0 || x == n-1 || y == n-1 {
				rim[i] = 1
			}
		}
	}
	return g.floats([]int64{4, 1, n, n}, values...)
}

// landmarks returns ten channels: Pattern, scaled to the square.
func (g *graph) landmarks(b blob) string {
	centre := g.channels(b.x, b.y, b.x, b.y, b.x, b.y, b.x, b.y, b.x, b.y)
	return g.op("Add", []string{centre, g.op("Mul", []string{b.side, g.per(Pattern[:]...)})})
}

// channels puts maps behind each other.
func (g *graph) channels(maps ...string) string {
	return g.op("Concat", maps, integer("axis", 1))
}

// rows turns 1 x C x height x width into rows of a length, cell by cell, with a
// leading batch dimension where asked for.
func (g *graph) rows(value string, length int64, batch bool) string {
	last := g.op("Transpose", []string{value}, integers("perm", 0, 2, 3, 1))
	shape := []int64{-1, length}
	if batch {
		shape = []int64{1, -1, length}
	}
	return g.op("Reshape", []string{last, g.ints(shape...)})
}

// side returns a fixed dimension, or the name of an open one.
func side(size int, name string) any {
	if size > 0 {
		return size
	}
	return name
}

func triple(v float64) [3]float64 { return [3]float64{v, v, v} }

// Score returns what YuNet answers for a square of a red value.
func Score(red byte) float64 { return math.Sqrt(float64(red) / 255) }
