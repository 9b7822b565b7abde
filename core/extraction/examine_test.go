package extraction_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// A picture that the gate refuses has a template nevertheless.
func TestExamine(t *testing.T) {
	x := extraction.New(&decoder{width: 640, height: 640}, fixed(faceOf(100, 100, 120)), embedFunc(unit), one)
	_, reasons, err := x.Examine(t.Context(), nil, quality.Gate{MinFaceWidth: 121})
	require.NoError(t, err)
	require.Equal(t, []string{quality.ReasonTooSmall}, reasons)
	_, reasons, err = x.Examine(t.Context(), nil, quality.Gate{MinFaceWidth: 120})
	require.NoError(t, err)
	require.Empty(t, reasons)

	none := extraction.New(&decoder{width: 640, height: 640}, fixed(), embedFunc(unit), one)
	_, _, err = none.Examine(t.Context(), nil, quality.Gate{})
	require.ErrorIs(t, err, ports.ErrInvalid)
}

// What was seen is in pixels of the upright original, and an enrolment tells the same.
func TestExplain(t *testing.T) {
	x := extraction.New(&decoder{width: 640, height: 640}, fixed(faceOf(100, 100, 120), faceOf(300, 300, 60)), embedFunc(unit), one)
	_, seen, err := x.Explain(t.Context(), nil, quality.Gate{MinFaceWidth: 121})
	require.NoError(t, err)
	require.Equal(t, extraction.Explanation{
		Box: ports.Box{X0: 100, Y0: 100, X1: 220, Y1: 220}, Faces: 2, Turn: seen.Turn, Reasons: []string{quality.ReasonTooSmall},
	}, seen)
	detected, err := x.Detect(t.Context(), nil, quality.Gate{MinFaceWidth: 121})
	require.NoError(t, err)
	require.Equal(t, detected.Faces[0].Box, seen.Box)
	require.Equal(t, detected.Turn, seen.Turn)
	require.Equal(t, detected.Reasons, seen.Reasons)

	enrolled, err := x.Enrol(t.Context(), nil, quality.Gate{MinFaceWidth: 120})
	require.NoError(t, err)
	seen.Reasons = nil
	require.Equal(t, seen, enrolled.Explanation)
	require.NotNil(t, enrolled.Chip)
}
