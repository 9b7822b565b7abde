package onnx

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/contract"
	"imago/test/onnxgraph"
)

// squares are a picture for every generated detector: three sizes, so that
// every stride is asked, and three scores.
func squares() []contract.DetectorPicture {
	three := []onnxgraph.Square{{X: 60, Y: 40, Side: 50, Red: 255}, {X: 301, Y: 70, Side: 21, Red: 230}, {X: 90, Y: 203, Side: 33, Red: 200}}
	one := onnxgraph.Square{X: 17, Y: 210, Side: 40, Red: 250}
	noses := func(squares ...onnxgraph.Square) []ports.Point {
		var all []ports.Point
		for _, s := range squares {
			all = append(all, s.Face().Landmarks[ports.Nose])
		}
		return all
	}
	return []contract.DetectorPicture{
		{Name: "three", Image: onnxgraph.Picture(400, 300, three...), Noses: noses(three...), LongSides: []int{0, 400, 333, 200}, Tolerance: 0.3},
		{Name: "one", Image: onnxgraph.Picture(150, 300, one), Noses: noses(one), LongSides: []int{0, 301, 233, 128}, Tolerance: 0.3},
		{Name: "none", Image: onnxgraph.Picture(64, 64), LongSides: []int{0, 32}},
	}
}

func TestDetectorContract(t *testing.T) {
	for name, model := range map[string]onnxgraph.Model{
		"yunet":       onnxgraph.YuNet(0, onnxgraph.Sound),
		"yunet fixed": onnxgraph.YuNet(320, onnxgraph.Sound),
		"scrfd":       onnxgraph.SCRFD(onnxgraph.Sound),
	} {
		t.Run(name, func(t *testing.T) {
			contract.Detector(t, contract.DetectorHarness{
				Open: func(tb testing.TB) ports.Detector { return openDetector(tb, generated(model)) },
				Close: func(tb testing.TB, d ports.Detector) {
					require.NoError(tb, d.(*Detector).Close(context.Background()))
				},
				Pictures: squares(),
			})
		})
	}
}

func TestEmbedderContract(t *testing.T) {
	for name, model := range map[string]onnxgraph.Model{
		"any batch":  onnxgraph.Embedder(0, onnxgraph.Sound),
		"batch of 1": onnxgraph.Embedder(1, onnxgraph.Sound),
	} {
		t.Run(name, func(t *testing.T) {
			contract.Embedder(t, contract.EmbedderHarness{
				Open: func(tb testing.TB) ports.Embedder { return openEmbedder(tb, generated(model)) },
				Close: func(tb testing.TB, e ports.Embedder) {
					require.NoError(tb, e.(*Embedder).Close(context.Background()))
				},
			})
		})
	}
}
