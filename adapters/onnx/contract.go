package onnx

import (
	"fmt"
	"math"

	ort "github.com/yalue/onnxruntime_go"

	"imago/config"
	"imago/ports"
)

// strides are the cell sizes in pixels at which both detector contracts look
// for faces.
var strides = [3]int{8, 16, 32}

// gridStride is what width and height of a detector's input must be a multiple
// of, so that each stride fills it with whole cells.
const gridStride = 32

// outputContract interprets the outputs of one kind of detector.
type outputContract interface {
	// outputs checks the declared outputs of a network and returns their names in
	// the order that levels expects.
	outputs(declared []ort.InputOutputInfo) ([]string, error)
	// anchors is how many candidates a cell has.
	anchors() int
	// level selects the outputs of strides[s]; levels sets the other fields.
	level(outputs []tensor, s int) level
	// score is the confidence of candidate i, 0 to 1, or NaN where an output is not
	// finite.
	score(l *level, i int) float32
	// box is the outline of candidate i in pixels of the network's input.
	box(l *level, i int) ports.Box
}

// level holds the outputs of a network for one stride. Candidates run row by row
// over the cells, the anchors of a cell one after the other.
type level struct {
	stride, columns, anchors int
	count                    int       // of candidates
	scores, objectness       []float32 // 1 a candidate; objectness is YuNet's
	boxes                    []float32 // 4 a candidate
	landmarks                []float32 // 10 a candidate: x, y in cells from the cell
}

// cell returns the position of candidate i in cells.
func (l *level) cell(i int) (column, row float64) {
	i /= l.anchors
	return float64(i % l.columns), float64(i / l.columns)
}

// points returns the landmarks of candidate i in pixels of the network's input:
// (cell + offset) * stride in both contracts.
func (l *level) points(i int) ports.Landmarks {
	column, row := l.cell(i)
	stride := float64(l.stride)
	var points ports.Landmarks
	for k := range points {
		points[k].X = (column + float64(l.landmarks[10*i+2*k])) * stride
		points[k].Y = (row + float64(l.landmarks[10*i+2*k+1])) * stride
	}
	return points
}

// contractOf returns the outputContract for a manifest's contract, nil when it is not
// one of a detector.
func contractOf(c config.Contract) outputContract {
	switch c {
	case config.ContractYuNet:
		return yunet{}
	case config.ContractSCRFD:
		return scrfd{}
	}
	return nil
}

// levels groups the outputs by stride and checks that each has the right number of
// elements for an input of width x height pixels.
func levels(c outputContract, outputs []tensor, width, height int) ([len(strides)]level, error) {
	var all [len(strides)]level
	for s, stride := range strides {
		l := c.level(outputs, s)
		l.stride, l.columns, l.anchors = stride, width/stride, c.anchors()
		l.count = l.columns * (height / stride) * l.anchors
		for _, part := range []struct {
			values []float32
			each   int
		}{{l.scores, 1}, {l.objectness, 1}, {l.boxes, 4}, {l.landmarks, 10}} {
			if part.values != nil && len(part.values) != part.each*l.count {
				return all, fmt.Errorf("an output for stride %d has %d numbers where %d candidates need %d each", stride, len(part.values), l.count, part.each)
			}
		}
		all[s] = l
	}
	return all, nil
}

// yunet is the contract of YuNet (Wu, Peng, Yu: YuNet: A Tiny Millisecond-level
// Face Detector, 2023; decoding as in OpenCV's FaceDetectorYN): per stride s
// the outputs cls_s and obj_s (1 x cells x 1), bbox_s (x 4) and kps_s (x 10),
// found by name whatever their order. The score is the geometric mean of cls
// and obj; the box centre is (cell + offset) * s and its size exp(value) * s.
type yunet struct{}

var yunetParts = []struct {
	name string
	each int64
}{{"cls", 1}, {"obj", 1}, {"bbox", 4}, {"kps", 10}}

func (yunet) outputs(declared []ort.InputOutputInfo) ([]string, error) {
	var names []string
	for _, part := range yunetParts {
		for _, stride := range strides {
			name := fmt.Sprintf("%s_%d", part.name, stride)
			info, ok := find(declared, name)
			if !ok {
				return nil, fmt.Errorf("the contract yunet needs an output %s, but the network has %s", name, describe(declared))
			}
			if err := checkOutput(info, part.each); err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func (yunet) anchors() int { return 1 }

func (yunet) level(outputs []tensor, s int) level {
	n := len(strides)
	return level{
		scores: outputs[s].data, objectness: outputs[n+s].data,
		boxes: outputs[2*n+s].data, landmarks: outputs[3*n+s].data,
	}
}

func (yunet) score(l *level, i int) float32 {
	return float32(math.Sqrt(float64(clamp(l.scores[i])) * float64(clamp(l.objectness[i]))))
}

func (yunet) box(l *level, i int) ports.Box {
	column, row := l.cell(i)
	stride := float64(l.stride)
	b := l.boxes[4*i:][:4]
	x, y := (column+float64(b[0]))*stride, (row+float64(b[1]))*stride
	w, h := math.Exp(float64(b[2]))*stride, math.Exp(float64(b[3]))*stride
	return ports.Box{X0: x - w/2, Y0: y - h/2, X1: x + w/2, Y1: y + h/2}
}

// scrfd is the contract of SCRFD (Guo, Deng, Lattas, Zafeiriou: Sample and
// Computation Redistribution for Efficient Face Detection, 2021) as InsightFace
// exports it: nine outputs in this order, whatever their names: scores for
// strides 8, 16, 32 (candidates x 1), box distances (x 4) and landmark offsets
// (x 10), with or without a leading batch dimension of 1. A cell has two
// anchors at its (column, row) * stride; distances to the left, top, right and
// bottom edge and offsets are in units of the stride.
type scrfd struct{}

var scrfdParts = []int64{1, 4, 10}

func (scrfd) outputs(declared []ort.InputOutputInfo) ([]string, error) {
	if len(declared) != len(strides)*len(scrfdParts) {
		return nil, fmt.Errorf("the contract scrfd needs nine outputs, but the network has %s", describe(declared))
	}
	names := make([]string, len(declared))
	for i, info := range declared {
		if err := checkOutput(info, scrfdParts[i/len(strides)]); err != nil {
			return nil, err
		}
		names[i] = info.Name
	}
	return names, nil
}

func (scrfd) anchors() int { return 2 }

func (scrfd) level(outputs []tensor, s int) level {
	n := len(strides)
	return level{scores: outputs[s].data, boxes: outputs[n+s].data, landmarks: outputs[2*n+s].data}
}

func (scrfd) score(l *level, i int) float32 { return clamp(l.scores[i]) }

func (scrfd) box(l *level, i int) ports.Box {
	column, row := l.cell(i)
	stride := float64(l.stride)
	d := l.boxes[4*i:][:4]
	return ports.Box{
		X0: (column - float64(d[0])) * stride, Y0: (row - float64(d[1])) * stride,
		X1: (column + float64(d[2])) * stride, Y1: (row + float64(d[3])) * stride,
	}
}

// clamp limits a confidence to 0 to 1; what is not finite becomes NaN.
func clamp(v float32) float32 {
	if math.IsInf(float64(v), 0) {
		return float32(math.NaN())
	}
	return max(0, min(1, v))
}
