package gallery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/gallery"
	"imago/ports"
)

// guarding returns a gallery whose inventory has guards.
func guarding(guards gallery.Guards) (*gallery.Gallery, *store) {
	s := new(store)
	return gallery.New(extractor{"anna": anna, "near": {0.8, 0.6}, "other": {0, 1}}, s, gallery.Options{
		Lists:  []gallery.Collection{{Name: "blacklist", Shared: true, Threshold: 80}, {Name: "staff", Threshold: 99.9}},
		Guards: guards,
		Curve:  calibration.Curve{Midpoint: 0.414, Steepness: 20.9},
	}), s
}

func of(user, picture string) gallery.Enrolment {
	return gallery.Enrolment{Collection: "users", UserID: user, Picture: []byte(picture)}
}

// requireGuarded checks that a guard has refused, and whom the audit log hears of.
func requireGuarded(t *testing.T, err error, reason, collection, user string) {
	t.Helper()
	require.ErrorIs(t, err, ports.ErrInvalid)
	var refusal *ports.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, []string{reason}, refusal.Reasons)
	var guarded *gallery.Guarded
	require.ErrorAs(t, err, &guarded)
	require.Equal(t, collection, guarded.Resembled.Collection)
	require.Equal(t, user, guarded.Resembled.UserID)
	require.NotContains(t, err.Error(), guarded.Resembled.UserID)
}

func TestUnique(t *testing.T) {
	g, s := guarding(gallery.Guards{Unique: 90})
	require.NoError(t, g.Enrol(t.Context(), alice, of("u1", "anna")))
	s.matches = []ports.Match{{UserID: "u1", Score: 0.8}}
	requireGuarded(t, g.Enrol(t.Context(), alice, of("u2", "near")), gallery.ReasonAnotherUser, "users", "u1")
	require.InDelta(t, 0.519, s.query.MinScore, 1e-3, "the cosine of 90 %")
	require.NoError(t, g.AddFace(t.Context(), alice, of("u1", "near")), "the user's own face")
	require.NoError(t, g.Replace(t.Context(), alice, of("u1", "near")), "the user's own face")
	list := of("u3", "near")
	list.Collection = "staff"
	require.NoError(t, g.Enrol(t.Context(), alice, list), "another collection has no such guard")
}

func TestScreen(t *testing.T) {
	g, s := guarding(gallery.Guards{Screen: []string{"staff", "blacklist"}})
	s.matches = []ports.Match{{UserID: "b1", Owner: "bob", Score: 0.6}}
	blind := ports.Client{Name: "blind", Collections: []string{"users"}}
	requireGuarded(t, g.Enrol(t.Context(), alice, of("u1", "anna")), "provided face is on a list: blacklist", "blacklist", "b1")
	requireGuarded(t, g.Enrol(t.Context(), blind, of("u1", "anna")), "provided face is on a list", "blacklist", "b1")
	require.Empty(t, s.records)
	s.matches = nil
	require.NoError(t, g.Enrol(t.Context(), alice, of("u1", "anna")))
	s.matches = []ports.Match{{UserID: "b1", Score: 0.99}}
	requireGuarded(t, g.Replace(t.Context(), alice, of("u1", "anna")), "provided face is on a list: staff", "staff", "b1")
	requireGuarded(t, g.AddFace(t.Context(), alice, of("u1", "anna")), "provided face is on a list: staff", "staff", "b1")
	require.Len(t, s.records, 1)
}

// A further face must be like one of the user's own; a replacement may be a correction.
func TestSamePerson(t *testing.T) {
	g, s := guarding(gallery.Guards{SamePerson: 90})
	require.NoError(t, g.Enrol(t.Context(), alice, of("u1", "anna")))
	requireGuarded(t, g.AddFace(t.Context(), alice, of("u1", "other")), gallery.ReasonNotTheUsers, "users", "u1")
	require.NoError(t, g.AddFace(t.Context(), alice, of("u1", "near")))
	require.NoError(t, g.AddFace(t.Context(), alice, of("u1", "other")), "the best of several counts")
	require.Len(t, s.records, 3)
	require.NoError(t, g.Replace(t.Context(), alice, of("u1", "anna")))
	require.ErrorIs(t, g.AddFace(t.Context(), alice, of("nobody", "anna")), ports.ErrNotFound)
}
