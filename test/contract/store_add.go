package contract

import (
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func addFirstTwice(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	before := scanAll(t, s, people, "")

	require.ErrorIs(t, s.Add(t.Context(), face("ada", "f", north), ports.NewUser()), ports.ErrExists)
	require.ErrorIs(t, s.Add(t.Context(), face("ada", "g", north), ports.NewUser()), ports.ErrExists)

	require.Equal(t, before, scanAll(t, s, people, ""))
	require.Empty(t, search(t, s, north, 10, 0.5))
}

func addFurther(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", north)

	require.Equal(t, []string{"ada/f", "ada/g"}, keysOf(scanAll(t, s, people, "")))
	require.Equal(t, 1, count(t, s, people))
	for id, v := range map[string][]float32{"f": east, "g": north} {
		found := search(t, s, v, 10, 0.9)
		require.Len(t, found, 1)
		require.Equal(t, id, found[0].FaceID)
	}
}

func addFurtherToMissing(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)

	require.ErrorIs(t, s.Add(t.Context(), face("bob", "f", north), ports.FurtherFace(ports.Everybody())), ports.ErrNotFound)

	requireAbsent(t, s, "bob")
	require.Equal(t, 1, count(t, s, people))
}

func addFurtherSameFace(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", eastNorth)
	before := scanAll(t, s, people, "")

	require.ErrorIs(t, s.Add(t.Context(), face("ada", "g", west), ports.FurtherFace(ports.Everybody())), ports.ErrExists)

	require.Equal(t, before, scanAll(t, s, people, ""))
}

func addReplacement(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	enrol(t, s, "bob", eastNorth)

	require.NoError(t, s.Add(t.Context(), face("ada", "g", north), ports.Replacement(ports.Everybody())))

	require.Equal(t, []string{"ada/g", "bob/f"}, keysOf(scanAll(t, s, people, "")))
	require.Equal(t, []string{"bob"}, usersOf(search(t, s, east, 10, 0.5)), "the old vector still matches")
	require.Equal(t, []string{"ada", "bob"}, usersOf(search(t, s, north, 10, 0.5)))
	require.Equal(t, 2, count(t, s, people))
}

func addReplacementSameFace(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)

	require.NoError(t, s.Add(t.Context(), face("ada", "f", north), ports.Replacement(ports.Everybody())))

	require.Equal(t, []string{"ada/f"}, keysOf(scanAll(t, s, people, "")))
	require.Empty(t, search(t, s, east, 10, 0.5), "the old vector still matches")
	require.Len(t, search(t, s, north, 10, 0.5), 1)
}

func addReplacementOfSeveral(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", eastNorth)
	further(t, s, "ada", "h", west)

	require.NoError(t, s.Add(t.Context(), face("ada", "i", north), ports.Replacement(ports.Everybody())))

	require.Equal(t, []string{"ada/i"}, keysOf(scanAll(t, s, people, "")))
	require.Empty(t, search(t, s, east, 10, 0.5))
	require.Empty(t, search(t, s, west, 10, 0.5))
}

func addReplacementOfMissing(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)

	require.ErrorIs(t, s.Add(t.Context(), face("bob", "f", north), ports.Replacement(ports.Everybody())), ports.ErrNotFound)

	requireAbsent(t, s, "bob")
	require.Equal(t, 1, count(t, s, people))
}
