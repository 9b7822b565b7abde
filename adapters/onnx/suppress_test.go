package onnx

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// field returns levels of a width x height input in which nothing scores.
func field(c outputContract, width, height int) [len(strides)]level {
	var all [len(strides)]level
	for s, stride := range strides {
		n := (width / stride) * (height / stride) * c.anchors()
		all[s] = level{
			stride: stride, columns: width / stride, anchors: c.anchors(), count: n,
			scores: make([]float32, n), objectness: make([]float32, n),
			boxes: make([]float32, 4*n), landmarks: make([]float32, 10*n),
		}
	}
	return all
}

func decoded(t *testing.T, c outputContract, all [len(strides)]level, minScore, iou float64) []ports.Face {
	t.Helper()
	faces, err := decode(t.Context(), c, all, minScore, iou)
	require.NoError(t, err)
	return faces
}

// The numbers of both decoders, worked out by hand.

func TestYuNetByHand(t *testing.T) {
	all := field(yunet{}, 96, 64)
	l := &all[1]                           // stride 16: 6 x 4 cells
	i := 2*6 + 3                           // row 2, column 3
	l.scores[i], l.objectness[i] = 0.64, 2 // the second counts as 1
	copy(l.boxes[4*i:], []float32{0.5, -0.25, float32(math.Log(2)), 0})
	copy(l.landmarks[10*i:], []float32{0, 0, 1, 0, 0.5, 0.5, 0, 1, -1, -1})
	faces := decoded(t, yunet{}, all, 0.6, 0.3)
	require.Len(t, faces, 1)
	f := faces[0]
	require.InDelta(t, 0.8, f.Score, 1e-6)
	requireBox(t, ports.Box{X0: 56 - 16, Y0: 28 - 8, X1: 56 + 16, Y1: 28 + 8}, f.Box)
	require.Equal(t, ports.Landmarks{{X: 48, Y: 32}, {X: 64, Y: 32}, {X: 56, Y: 40}, {X: 48, Y: 48}, {X: 32, Y: 16}}, f.Landmarks)
}

func TestSCRFDByHand(t *testing.T) {
	all := field(scrfd{}, 96, 64)
	l := &all[2]       // stride 32: 3 x 2 cells
	i := (1*3+2)*2 + 1 // row 1, column 2, second anchor
	l.scores[i] = 0.9
	copy(l.boxes[4*i:], []float32{0.5, 0.25, 1, 0.75})
	copy(l.landmarks[10*i:], []float32{-0.5, 0, 0.5, 0, 0, 0.25, 0, 0.5, 1, 1})
	faces := decoded(t, scrfd{}, all, 0.6, 0.3)
	require.Len(t, faces, 1)
	f := faces[0]
	require.InDelta(t, 0.9, f.Score, 1e-6)
	requireBox(t, ports.Box{X0: 64 - 16, Y0: 32 - 8, X1: 64 + 32, Y1: 32 + 24}, f.Box)
	require.Equal(t, ports.Landmarks{{X: 48, Y: 32}, {X: 80, Y: 32}, {X: 64, Y: 40}, {X: 64, Y: 48}, {X: 96, Y: 64}}, f.Landmarks)
}

func requireBox(t *testing.T, want, got ports.Box) {
	t.Helper()
	require.InDelta(t, want.X0, got.X0, 1e-4)
	require.InDelta(t, want.Y0, got.Y0, 1e-4)
	require.InDelta(t, want.X1, got.X1, 1e-4)
	require.InDelta(t, want.Y1, got.Y1, 1e-4)
}

// unitBoxes gives every candidate of the finest level a score and a box of a
// cell's size around its cell's corner.
func unitBoxes(all [len(strides)]level, score func(i int) float32) {
	l := &all[0]
	for i := range l.count {
		l.scores[i] = score(i)
		copy(l.boxes[4*i:], []float32{0.5, 0.5, 0.5, 0.5})
	}
}

func TestScoreThresholdIsInclusive(t *testing.T) {
	all := field(scrfd{}, 64, 64)
	all[0].scores[0], all[0].scores[2], all[0].scores[4] = 0.5, 0.4999, 0.75
	for _, i := range []int{0, 2, 4} {
		copy(all[0].boxes[4*i:], []float32{0.1, 0.1, 0.1, 0.1})
	}
	require.Len(t, decoded(t, scrfd{}, all, 0.5, 0.3), 2)
}

func TestScoresThatAreNotFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for _, c := range []outputContract{yunet{}, scrfd{}} {
			all := field(c, 64, 64)
			all[2].scores[1] = bad
			_, err := decode(t.Context(), c, all, 0.6, 0.3)
			require.ErrorIs(t, err, errNotFinite)
		}
	}
}

func TestGeometryThatIsNotFiniteIsLeftOut(t *testing.T) {
	all := field(yunet{}, 64, 64)
	l := &all[0]
	for i := range 6 {
		l.scores[8*i], l.objectness[8*i] = 1, 1
	}
	l.boxes[4*8*1] = float32(math.NaN())
	l.boxes[4*8*2+2] = 1000 // exp overflows
	l.landmarks[10*8*3+9] = float32(math.Inf(-1))
	l.boxes[4*8*4+3] = -1000 // no height
	require.Len(t, decoded(t, yunet{}, all, 0.6, 0.3), 2)
}

func TestBoxesWithoutAreaAreLeftOut(t *testing.T) {
	all := field(scrfd{}, 64, 64)
	all[0].scores[0], all[0].scores[8] = 1, 1
	copy(all[0].boxes[0:], []float32{-2, 1, 1, 1})
	copy(all[0].boxes[4*8:], []float32{1, 1, 1, 1})
	require.Len(t, decoded(t, scrfd{}, all, 0.6, 0.3), 1)
}

func TestSuppressKeepsTheBest(t *testing.T) {
	box := func(x float64) ports.Box { return ports.Box{X0: x, Y0: 0, X1: x + 10, Y1: 10} }
	// Neighbours overlap by 5/15, the outer two not at all.
	faces := []ports.Face{{Score: 0.9, Box: box(5)}, {Score: 0.8, Box: box(0)}, {Score: 0.7, Box: box(10)}}
	for iou, want := range map[float64]int{0: 1, 0.3: 1, 0.34: 3, 1: 3} {
		kept, err := suppress(t.Context(), faces, iou)
		require.NoError(t, err)
		require.Len(t, kept, want, "IoU %v", iou)
		require.Equal(t, 0.9, kept[0].Score)
	}
	// A face suppressed by a better one suppresses nothing itself.
	kept, err := suppress(t.Context(), []ports.Face{{Score: 0.9, Box: box(0)}, {Score: 0.8, Box: box(5)}, {Score: 0.7, Box: box(10)}}, 0.3)
	require.NoError(t, err)
	require.Len(t, kept, 2)
}

func TestOverlap(t *testing.T) {
	a := ports.Box{X0: 0, Y0: 0, X1: 10, Y1: 10}
	require.Equal(t, 1.0, overlap(a, a))
	require.Equal(t, 0.25, overlap(a, ports.Box{X0: 0, Y0: 0, X1: 5, Y1: 5}))
	require.Equal(t, 0.0, overlap(a, ports.Box{X0: 10, Y0: 0, X1: 20, Y1: 10}))
	require.Equal(t, 0.0, overlap(a, ports.Box{X0: 20, Y0: 20, X1: 30, Y1: 30}))
}

// A network may answer that everything is a face: the best 4096 candidates are
// looked at and the rest is dropped.
func TestCandidatesAreBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	all := field(scrfd{}, 1024, 1024)
	unitBoxes(all, func(int) float32 { return 0.6 + 0.3*rng.Float32() })
	require.Greater(t, all[0].count, maxCandidates)
	hits, err := collect(scrfd{}, all, 0.5)
	require.NoError(t, err)
	require.Len(t, hits, maxCandidates)
	var better int
	for _, s := range all[0].scores {
		if s > hits[maxCandidates-1].score {
			better++
		}
	}
	require.Less(t, better, maxCandidates, "the best are kept")
	faces := decoded(t, scrfd{}, all, 0.5, 0.3)
	require.LessOrEqual(t, len(faces), maxCandidates)
	for i := 1; i < len(faces); i++ {
		require.GreaterOrEqual(t, faces[i-1].Score, faces[i].Score)
	}
}

func TestSuppressStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := suppress(ctx, make([]ports.Face, 3), 0.3)
	require.ErrorIs(t, err, context.Canceled)
}
