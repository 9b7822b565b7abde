package gallery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/gallery"
	"imago/ports"
)

// With a face ID of the caller's choice, a repetition is answered without a look
// at the picture.
func TestEnrolmentsWithAFaceID(t *testing.T) {
	g, s := newGallery()
	e := gallery.Enrolment{Collection: "users", UserID: "u1", FaceID: "one", Picture: picture}
	require.ErrorIs(t, g.AddFace(t.Context(), alice, e), ports.ErrNotFound)
	require.NoError(t, g.Enrol(t.Context(), alice, e))
	require.Equal(t, "one", s.records[0].FaceID)

	again := e
	again.Picture = []byte("unusable")
	require.ErrorIs(t, g.Enrol(t.Context(), alice, again), ports.ErrExists)
	require.ErrorIs(t, g.AddFace(t.Context(), alice, again), ports.ErrExists)

	e.FaceID = "two"
	require.NoError(t, g.AddFace(t.Context(), alice, e))
	require.Equal(t, "two", s.records[1].FaceID)
	require.Len(t, s.records, 2)

	e.Collection = "blacklist"
	require.NoError(t, g.Enrol(t.Context(), alice, e))
	e.FaceID = "three"
	require.ErrorIs(t, g.AddFace(t.Context(), bob, e), ports.ErrNotFound)
	e.UserID = "search"
	require.ErrorIs(t, g.Enrol(t.Context(), alice, e), ports.ErrInvalid)
	e.Collection = "nope"
	require.ErrorIs(t, g.Enrol(t.Context(), alice, e), ports.ErrNotFound)
}
