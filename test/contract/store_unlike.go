package contract

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// requireResembles checks the answer of an Add whose face resembles a user.
func requireResembles(t *testing.T, err error, user, face string, score float64) {
	t.Helper()
	require.ErrorIs(t, err, ports.ErrResembles)
	var resemblance *ports.Resemblance
	require.ErrorAs(t, err, &resemblance)
	require.Equal(t, user, resemblance.Match.UserID)
	if face != "" {
		require.Equal(t, face, resemblance.Match.FaceID)
	}
	require.InDelta(t, score, resemblance.Match.Score, rounding)
	require.NotContains(t, err.Error(), user, "an error names a user")
}

func unlikeNewUser(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.NoError(t, s.Add(t.Context(), face("ada", "f", east), ports.NewUser().Unlike(0.7)), "nobody is there yet")
	requireResembles(t, s.Add(t.Context(), face("bob", "f", eastNorth), ports.NewUser().Unlike(0.7)), "ada", "f", 0.8)
	requireResembles(t, s.Add(t.Context(), face("bob", "f", east), ports.NewUser().Unlike(1-rounding)), "ada", "f", 1)
	require.NoError(t, s.Add(t.Context(), face("bob", "f", north), ports.NewUser().Unlike(0.7)))
	elsewhere := face("eve", "f", east)
	elsewhere.Collection = others
	require.NoError(t, s.Add(t.Context(), elsewhere, ports.NewUser().Unlike(0.7)), "another collection")
	require.NoError(t, s.Add(t.Context(), face("cyd", "f", eastNorth), ports.NewUser()), "without the condition")
	require.Equal(t, []string{"ada/f", "bob/f", "cyd/f"}, keysOf(scanAll(t, s, people, "")))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("cyd")), ports.Everybody()))
	require.NoError(t, s.Add(t.Context(), face("dan", "f", east), ports.NewUser().Unlike(0.7)), "who was removed resembles nobody")
}

// unlikeExisting: the user's own faces do not count, and what is wrong with the user is
// answered first.
func unlikeExisting(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	enrol(t, s, "bob", north)
	everybody := ports.Everybody()
	require.NoError(t, s.Add(t.Context(), face("ada", "g", east), ports.FurtherFace(everybody).Unlike(0.9)))
	require.NoError(t, s.Add(t.Context(), face("ada", "h", east), ports.Replacement(everybody).Unlike(0.9)))
	requireResembles(t, s.Add(t.Context(), face("ada", "i", north), ports.FurtherFace(everybody).Unlike(0.9)), "bob", "f", 1)
	requireResembles(t, s.Add(t.Context(), face("ada", "i", north), ports.Replacement(everybody).Unlike(0.9)), "bob", "f", 1)
	require.ErrorIs(t, s.Add(t.Context(), face("ada", "i", north), ports.NewUser().Unlike(0.9)), ports.ErrExists)
	require.ErrorIs(t, s.Add(t.Context(), face("ada", "h", north), ports.FurtherFace(everybody).Unlike(0.9)), ports.ErrExists)
	require.ErrorIs(t, s.Add(t.Context(), face("eve", "f", north), ports.FurtherFace(everybody).Unlike(0.9)), ports.ErrNotFound)
	require.ErrorIs(t, s.Add(t.Context(), face("ada", "i", north), ports.Replacement(ports.OwnedBy("nobody")).Unlike(0.9)), ports.ErrForbidden)
	require.Equal(t, []string{"ada/h", "bob/f"}, keysOf(scanAll(t, s, people, "")))
}

// unlikeBestOfMany: the nearest is named, and many faces of the user's own hide nobody.
func unlikeBestOfMany(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	for i := range 40 {
		further(t, s, "ada", fmt.Sprintf("face-%02d", i), east)
	}
	enrol(t, s, "bob", northEast)
	enrol(t, s, "cyd", eastNorth)
	requireResembles(t, s.Add(t.Context(), face("ada", "n", east), ports.FurtherFace(ports.Everybody()).Unlike(0.5)), "cyd", "f", 0.8)
	requireResembles(t, s.Add(t.Context(), face("dan", "n", east), ports.NewUser().Unlike(0.5)), "ada", "", 1)
}

// unlikeExpired: who has expired resembles nobody, however many there are.
func unlikeExpired(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for i := range 5 {
		r := face(fmt.Sprintf("gone-%d", i), "f", east)
		r.ExpiresAt = time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
		require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
	}
	require.NoError(t, s.Add(t.Context(), face("ada", "f", east), ports.NewUser().Unlike(0.9)))
	requireResembles(t, s.Add(t.Context(), face("bob", "f", east), ports.NewUser().Unlike(0.9)), "ada", "f", 1)
	require.NoError(t, s.Add(t.Context(), face("gone-0", "f", north), ports.NewUser().Unlike(0.9)))
}

func invalidUnlike(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	for _, score := range []float64{-1.01, 1.01, math.NaN()} {
		require.ErrorIs(t, s.Add(t.Context(), face("bob", "f", north), ports.NewUser().Unlike(score)), ports.ErrInvalid)
	}
	requireOnlyAda(t, s)
}

// concurrentUnlike enrols faces that resemble each other under many IDs at once: one wins, and
// the others are told who.
func concurrentUnlike(t *testing.T, h StoreHarness) {
	a := openPlane(t, h)
	b := a
	if h.Second != nil && !h.UniquePerInstance {
		b = h.Second(t, a)
	}
	near := [][]float32{east, eastNorth}
	for round := range 5 {
		collection := []string{people, others}[round%2]
		errs := fixture.Together(20, func(i int) error {
			r := face(fmt.Sprintf("user-%d-%d", round, i), "f", near[i%2])
			r.Collection = collection
			return []ports.VectorStore{a, b}[i/2%2].Add(t.Context(), r, ports.NewUser().Unlike(0.7))
		})
		winner := slices.Index(errs, nil)
		require.GreaterOrEqual(t, winner, 0, "nobody won: %v", errs[0])
		user := fmt.Sprintf("user-%d-%d", round, winner)
		for i, err := range errs {
			var resemblance *ports.Resemblance
			if i != winner {
				require.ErrorAs(t, err, &resemblance)
				require.Equal(t, user, resemblance.Match.UserID)
			}
		}
		require.Equal(t, 1, count(t, a, collection))
		require.NoError(t, a.Remove(t.Context(), ports.WholeUser(ports.UserKey{Collection: collection, UserID: user}), ports.Everybody()))
	}
}
