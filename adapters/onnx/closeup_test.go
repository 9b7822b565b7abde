package onnx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/onnxgraph"
)

// Detectors of both contracts for close-ups answer what others do of large faces, and
// do without small ones.
func TestCloseUps(t *testing.T) {
	for name, m := range map[string]Model{
		"yunet": generated(onnxgraph.YuNet(0, onnxgraph.Sound)), "scrfd": generated(onnxgraph.SCRFD(onnxgraph.Sound)),
	} {
		t.Run(name, func(t *testing.T) {
			whole, closeUps := openDetector(t, m), openCloseUps(t, m)
			for side, seen := range map[int]bool{10: false, 13: false, 20: true, 30: true, 40: true, 60: true} {
				picture := onnxgraph.Picture(160, 128, onnxgraph.Square{X: 30, Y: 40, Side: side, Red: 255})
				want, err := whole.Detect(t.Context(), picture, 160)
				require.NoError(t, err)
				require.Len(t, want, 1)
				got, err := closeUps.Detect(t.Context(), picture, 160)
				require.NoError(t, err)
				if seen {
					require.Equal(t, want, got, "%d pixels", side)
				} else {
					require.Empty(t, got, "%d pixels", side)
				}
			}
			_, err := closeUps.Detect(t.Context(), ports.NewImage(0, 0), 0)
			require.ErrorIs(t, err, ports.ErrInvalid)
		})
	}
}

// So it is with a real network and real faces.
func TestCloseUpsOfPictures(t *testing.T) {
	m := realModel(t, defaultPair[0])
	whole, closeUps := openDetector(t, m), openCloseUps(t, m)
	large := 0
	for name := range annotated {
		img := decodeJPEG(t, name)
		for _, longSide := range []int{160, 320, 640, 1280} {
			want, err := whole.Detect(t.Context(), img, longSide)
			require.NoError(t, err)
			got, err := closeUps.Detect(t.Context(), img, longSide)
			require.NoError(t, err)
			reduction := max(1, float64(max(img.Width, img.Height))/float64(longSide))
			for _, face := range want {
				if face.Box.Width() >= 90*reduction {
					large++
					require.Contains(t, got, face, "%s at %d", name, longSide)
				}
			}
		}
	}
	require.Greater(t, large, 10)
}
