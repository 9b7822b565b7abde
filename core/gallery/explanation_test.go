package gallery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/ports"
)

// A search that asks is told what was seen, by the gate of enrolments, whether it finds
// somebody or not; one that does not ask measures nothing.
func TestSearchExplains(t *testing.T) {
	s := &store{}
	g := gallery.New(extractor{"anna": anna}, s, gallery.Options{Curve: calibration.Curve{Midpoint: 0.414, Steepness: 20.9}, Gate: quality.Gate{MinFaceWidth: 40}})
	for _, found := range [][]ports.Match{nil, {{UserID: "u1", Score: 1}}} {
		s.matches = found
		p := gallery.Probe{Collection: "users", Picture: []byte("anna"), Threshold: 80, Limit: 1}
		plain, err := g.Search(t.Context(), alice, p)
		require.NoError(t, err)
		require.Nil(t, plain.Explanation)
		p.Explain = true
		explained, err := g.Search(t.Context(), alice, p)
		require.NoError(t, err)
		require.Equal(t, &seen, explained.Explanation)
		require.Equal(t, plain.Matches, explained.Matches)
	}
}

// An enrolment tells the face that was stored, each time another.
func TestEnrolmentTellsTheFace(t *testing.T) {
	s := &store{}
	g := gallery.New(extractor{"anna": anna}, s, gallery.Options{Curve: calibration.Curve{Midpoint: 0.414, Steepness: 20.9}})
	told := gallery.Enrolled{}
	e := gallery.Enrolment{Collection: "users", UserID: "u1", Picture: []byte("anna"), Enrolled: &told}
	for _, enrol := range []func() error{
		func() error { return g.Enrol(t.Context(), alice, e) },
		func() error { return g.AddFace(t.Context(), alice, e) },
		func() error { return g.Replace(t.Context(), alice, e) },
	} {
		before := told.FaceID
		require.NoError(t, enrol())
		require.NotEqual(t, before, told.FaceID)
		require.Equal(t, s.records[len(s.records)-1].FaceID, told.FaceID)
		require.Equal(t, 1, told.Explanation.Faces)
	}
	before := told
	e.Picture = []byte("unusable")
	require.ErrorIs(t, g.AddFace(t.Context(), alice, e), ports.ErrInvalid)
	require.Equal(t, before, told)
}
