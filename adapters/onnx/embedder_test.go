package onnx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/onnxgraph"
)

// A chip fed as BGR is its mirror image in colour fed as RGB, and mean and
// deviation follow the planes.
func TestEmbedderColourOrder(t *testing.T) {
	rgb := onnxgraph.Embedder(0, onnxgraph.Sound)
	rgb.Manifest.Input.Mean = [3]float64{0.1, 0.2, 0.3}
	rgb.Manifest.Input.Std = [3]float64{0.5, 1, 2}
	bgr := rgb
	bgr.Manifest.Input.Colour = "BGR"
	chip := chips(1)[0]
	swapped := *chip
	for i := 0; i < len(swapped); i += 3 {
		swapped[i], swapped[i+2] = swapped[i+2], swapped[i]
	}
	first, err := openEmbedder(t, generated(rgb)).Embed(t.Context(), []*ports.Chip{chip})
	require.NoError(t, err)
	second, err := openEmbedder(t, generated(bgr)).Embed(t.Context(), []*ports.Chip{&swapped, chip})
	require.NoError(t, err)
	require.InDeltaSlice(t, first[0], second[0], 1e-6)
	require.NotEqual(t, first[0], second[1])
}

// The space tells apart what is fed differently and nothing else.
func TestEmbedderSpace(t *testing.T) {
	base := onnxgraph.Embedder(0, onnxgraph.Sound)
	space := NewEmbedder(nil, settings(t), generated(base)).Space()
	require.Equal(t, ports.Space{
		Model: "embedder", Digest: base.Manifest.SHA256, Dimension: onnxgraph.Dimension,
		Preprocessing: "arcface-112 similarity alignment, RGB scale 0.00392156862745098 mean 0,0,0 std 1,1,1",
	}, space)
	for name, change := range map[string]func(m *onnxgraph.Model){
		"colour":    func(m *onnxgraph.Model) { m.Manifest.Input.Colour = "BGR" },
		"scale":     func(m *onnxgraph.Model) { m.Manifest.Input.Scale = 1 },
		"mean":      func(m *onnxgraph.Model) { m.Manifest.Input.Mean[2] = 0.5 },
		"deviation": func(m *onnxgraph.Model) { m.Manifest.Input.Std[1] = 0.5 },
		"dimension": func(m *onnxgraph.Model) { m.Manifest.Output.Dimension = 8 },
		"file":      func(m *onnxgraph.Model) { m.Manifest.SHA256 = "00" },
	} {
		m := base
		change(&m)
		require.NotEqual(t, space.ID(), NewEmbedder(nil, settings(t), generated(m)).Space().ID(), name)
	}
	renamed := base
	renamed.Manifest.Name = "another"
	require.Equal(t, space.ID(), NewEmbedder(nil, settings(t), generated(renamed)).Space().ID())
}
