package gallery_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/gallery"
	"imago/core/quality"
	"imago/ports"
)

// verifying is a gallery with alice's u1, who has two faces, and bob's u2 in a collection.
func verifying(collection string) (*gallery.Gallery, *store) {
	s := &store{records: []ports.Record{
		{Collection: collection, UserID: "u1", FaceID: "a", Vector: []float32{0.5, 0.8660254}, Owner: "alice"},
		{Collection: collection, UserID: "u1", FaceID: "b", Vector: []float32{0, 1}, Owner: "alice"},
		{Collection: collection, UserID: "u2", FaceID: "a", Vector: anna, Owner: "bob"},
	}}
	return gallery.New(extractor{"anna": anna}, s, gallery.Options{
		Lists: []gallery.Collection{{Name: "blacklist", Shared: true}, {Name: "whitelist"}},
		Curve: calibration.Curve{Midpoint: 0.414, Steepness: 20.9}, Gate: quality.Gate{MinFaceWidth: 40},
	}), s
}

// The user's best face counts, whoever else is there, and the threshold is inclusive in
// what the client reads.
func TestVerifyComparesWithOneUser(t *testing.T) {
	for _, collection := range []string{"users", "whitelist"} {
		g, s := verifying(collection)
		for threshold, match := range map[float64]bool{0: true, 80: true, 85.78321: true, 85.78322: false, 100: false} {
			got, err := g.Verify(t.Context(), alice, gallery.Verification{Collection: collection, UserID: "u1", Picture: picture, Threshold: threshold})
			require.NoError(t, err)
			require.Equal(t, match, got.Match, threshold)
			require.Equal(t, 85.78321, *got.Similarity)
			require.Nil(t, got.Explanation)
		}
		require.Zero(t, s.query, "nothing was searched")
		got, err := g.Verify(t.Context(), alice, gallery.Verification{Collection: collection, UserID: "u1", Picture: picture, Threshold: 80, Explain: true})
		require.NoError(t, err)
		require.Equal(t, &seen, got.Explanation)
	}
}

// In a shared list another client's user is one who is not there, as in all calls that
// name a user.
func TestVerifyOfASharedListKnowsOnesOwnOnly(t *testing.T) {
	g, _ := verifying("blacklist")
	for client, users := range map[string]map[string]bool{"alice": {"u1": true, "u2": false}, "bob": {"u1": false, "u2": true}, "": {"u1": false, "u2": false}} {
		for user, known := range users {
			_, err := g.Verify(t.Context(), ports.Client{Name: client}, gallery.Verification{Collection: "blacklist", UserID: user, Picture: picture, Threshold: 80})
			require.Equal(t, !known, errors.Is(err, ports.ErrNotFound), "%q about %s: %v", client, user, err)
			require.NotErrorIs(t, err, ports.ErrForbidden)
		}
	}
}

// A key with a least threshold learns no similarity below it, as with a search.
func TestVerifyBelowTheLeastThresholdOfTheKey(t *testing.T) {
	g, _ := verifying("users")
	limited := alice
	limited.MinThreshold = 90
	v := gallery.Verification{Collection: "users", UserID: "u1", Picture: picture, Threshold: 89.9}
	_, err := g.Verify(t.Context(), limited, v)
	require.ErrorIs(t, err, ports.ErrForbidden)
	require.ErrorContains(t, err, "is below 90, the least that this key may search with")
	v.Threshold = 90
	got, err := g.Verify(t.Context(), limited, v)
	require.NoError(t, err)
	require.Equal(t, gallery.Verified{}, got)
	v.UserID = "u2"
	got, err = g.Verify(t.Context(), limited, v)
	require.NoError(t, err)
	require.True(t, got.Match)
	require.Equal(t, 99.99952, *got.Similarity)
}

// Who may read the collection is told of an unknown user before the work; anybody else
// only with a picture that can be compared.
func TestVerifyOfAnUnknownUser(t *testing.T) {
	g, _ := verifying("users")
	v := gallery.Verification{Collection: "users", UserID: "u3", Picture: []byte("unusable"), Threshold: 80}
	_, err := g.Verify(t.Context(), alice, v)
	require.ErrorIs(t, err, ports.ErrNotFound)
	searcher := ports.Client{Name: "searcher", Operations: []ports.Operation{ports.OpSearch}}
	for user, usable := range map[string]error{"u1": nil, "u3": ports.ErrNotFound} {
		v.UserID, v.Picture = user, []byte("unusable")
		_, err = g.Verify(t.Context(), searcher, v)
		require.ErrorIs(t, err, ports.ErrInvalid, user)
		v.Picture = picture
		_, err = g.Verify(t.Context(), searcher, v)
		require.ErrorIs(t, err, usable, user)
	}
	for _, bad := range []gallery.Verification{
		{Collection: "users", UserID: "u1", Threshold: 100.01}, {Collection: "users", UserID: "u1", Threshold: -1}, {Collection: "users", UserID: "verify", Threshold: 80},
	} {
		bad.Picture = picture
		for _, client := range []ports.Client{alice, searcher} {
			_, err := g.Verify(t.Context(), client, bad)
			require.ErrorIs(t, err, ports.ErrInvalid)
		}
	}
	_, err = g.Verify(t.Context(), searcher, gallery.Verification{Collection: "nope", UserID: "u1", Picture: picture, Threshold: 80})
	require.ErrorIs(t, err, ports.ErrNotFound)
}
