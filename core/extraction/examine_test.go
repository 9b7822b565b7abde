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
