package contract

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func getRoundTrip(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(16))
	want := ports.Record{
		Collection: people, UserID: "ada", FaceID: "7f3c", Vector: sphereVector(seeded(2), 16),
		Owner: "gateway one", EnrolledAt: time.Date(2024, 2, 29, 23, 59, 59, 999999000, time.UTC),
	}
	require.NoError(t, s.Add(t.Context(), want, ports.NewUser()))

	got, err := s.Get(t.Context(), person("ada"))
	require.NoError(t, err)
	require.Equal(t, []ports.Record{want}, got)
	require.Equal(t, []ports.Record{want}, scanAll(t, s, people, ""))
	found := search(t, s, want.Vector, 1, 0.9)
	require.Len(t, found, 1)
	require.Equal(t, "7f3c", found[0].FaceID)
	require.Equal(t, "gateway one", found[0].Owner)
}

func getEnrolledAt(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for name, at := range map[string]time.Time{
		"elsewhere":   time.Date(2025, 7, 1, 12, 0, 0, 1000, time.FixedZone("UTC+9", 9*3600)),
		"nanoseconds": time.Date(2025, 7, 1, 12, 0, 0, 123456789, time.UTC),
		"long ago":    time.Date(1969, 7, 20, 20, 17, 40, 1000, time.UTC),
		"far ahead":   time.Date(2199, 12, 31, 23, 59, 59, 999999000, time.UTC),
	} {
		r := face(name, "f", east)
		r.EnrolledAt = at
		require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
		got, err := s.Get(t.Context(), person(name))
		require.NoError(t, err)
		require.Len(t, got, 1)
		kept := got[0].EnrolledAt
		require.Equal(t, time.UTC, kept.Location(), name)
		require.Zero(t, kept.Nanosecond()%1000, name)
		require.Less(t, at.Sub(kept).Abs(), time.Microsecond, name)
	}
}

func getOrder(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "bob", east)
	require.NoError(t, s.Add(t.Context(), face("ada", "b", east), ports.NewUser()))
	for _, id := range []string{"ä", "a", "B", "aa", "10", "9"} {
		further(t, s, "ada", id, north)
	}

	got, err := s.Get(t.Context(), person("ada"))

	require.NoError(t, err)
	require.Equal(t, []string{"ada/10", "ada/9", "ada/B", "ada/a", "ada/aa", "ada/b", "ada/ä"}, keysOf(got))
}

func getMissing(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	for _, key := range []ports.UserKey{person("bob"), person("ad"), person("adam"), {Collection: others, UserID: "ada"}} {
		got, err := s.Get(t.Context(), key)
		require.ErrorIs(t, err, ports.ErrNotFound)
		require.Empty(t, got)
	}
}

func countUsers(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.Zero(t, count(t, s, people))
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", north)
	further(t, s, "ada", "h", west)
	require.Equal(t, 1, count(t, s, people), "a user with three faces is one user")
	enrol(t, s, "bob", north)
	require.Equal(t, 2, count(t, s, people))
	require.Zero(t, count(t, s, others))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("bob")), ports.Everybody()))
	require.Zero(t, count(t, s, people))
}

// readYourWrites asks every call directly after each write, without waiting.
func readYourWrites(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for i := range 25 {
		user := fmt.Sprintf("user-%d", i)
		enrol(t, s, user, east)
		require.Contains(t, usersOf(search(t, s, east, 1000, 0.9)), user)
		require.Equal(t, 1, count(t, s, people))
		require.Len(t, scanAll(t, s, people, user), 1)
		_, err := s.Get(t.Context(), person(user))
		require.NoError(t, err)
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person(user)), ports.Everybody()))
		requireAbsent(t, s, user)
		require.Zero(t, count(t, s, people))
	}
}
