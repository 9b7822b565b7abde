package onnx

import (
	"cmp"
	"context"
	"math"
	"slices"

	"imago/ports"
)

// maxCandidates bounds the input of non-maximum suppression, best scores first.
// A face has about ten candidates, so this is a crowd of several hundred.
const maxCandidates = 4096

// hit is a candidate above the score threshold.
type hit struct {
	score float32
	level int
	index int
}

// decode turns a detector's outputs into faces in pixels of its input, best
// first, without duplicates. Scores that are not finite are an error; a
// candidate whose box or landmarks are not finite is left out, and so is a box
// without area.
func decode(ctx context.Context, c outputContract, all [len(strides)]level, minScore, iou float64) ([]ports.Face, error) {
	hits, err := collect(c, all, float32(minScore))
	if err != nil {
		return nil, err
	}
	var faces []ports.Face
	for _, h := range hits {
		l := &all[h.level]
		face := ports.Face{Box: c.box(l, h.index), Score: float64(h.score), Landmarks: l.points(h.index)}
		if valid(face) {
			faces = append(faces, face)
		}
	}
	return suppress(ctx, faces, iou)
}

// collect returns the candidates of at least minScore, at most maxCandidates,
// best first and in the network's order where they are equal.
func collect(c outputContract, all [len(strides)]level, minScore float32) ([]hit, error) {
	var hits []hit
	for s := range all {
		l := &all[s]
		for i := range l.count {
			score := c.score(l, i)
			if math.IsNaN(float64(score)) {
				return nil, errNotFinite
			}
			if score >= minScore {
				hits = append(hits, hit{score: score, level: s, index: i})
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(b.score, a.score) })
	return hits[:min(len(hits), maxCandidates)], nil
}

// valid reports whether a face has a box with an area and finite coordinates.
func valid(f ports.Face) bool {
	sum := f.Box.X0 + f.Box.Y0 + f.Box.X1 + f.Box.Y1
	for _, p := range f.Landmarks {
		sum += p.X + p.Y
	}
	return !math.IsNaN(sum) && !math.IsInf(sum, 0) && f.Box.Width() > 0 && f.Box.Height() > 0
}

// suppress keeps of the faces, best first, each that overlaps no better one by
// more than iou: greedy non-maximum suppression.
func suppress(ctx context.Context, faces []ports.Face, iou float64) ([]ports.Face, error) {
	kept := make([]ports.Face, 0, min(len(faces), 16))
	for i, face := range faces {
		if i%rowsPerCheck == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !slices.ContainsFunc(kept, func(k ports.Face) bool { return overlap(k.Box, face.Box) > iou }) {
			kept = append(kept, face)
		}
	}
	return kept, nil
}

// overlap is the intersection over union of two boxes with area.
func overlap(a, b ports.Box) float64 {
	common := ports.Box{
		X0: max(a.X0, b.X0), Y0: max(a.Y0, b.Y0),
		X1: min(a.X1, b.X1), Y1: min(a.Y1, b.Y1),
	}.Area()
	return common / (a.Area() + b.Area() - common)
}
