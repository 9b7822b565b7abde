package contract

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/vectorstore"
	"imago/ports"
	"imago/test/fixture"
)

// keeper is what core/vectorstore offers beside ports.VectorStore.
type keeper interface {
	ports.VectorStore
	Retain(r vectorstore.Retention)
	Expired(ctx context.Context, collection string, at time.Time, limit int) ([]string, error)
	Expire(ctx context.Context, user ports.UserKey, at time.Time) error
}

// noon is the time of the cases about expiry when they begin. It is in the past, because a
// server with a clock of its own does not believe in the future.
var noon = time.Date(2024, 2, 29, 12, 0, 0, 123456000, time.UTC)

// clock is a clock that a case sets.
type clock struct{ since atomic.Int64 }

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.since.Load())) }
func (c *clock) set(to time.Duration) { c.since.Store(int64(to)) }

// retain has a store expire the users of people some time after their last enrolment, 0 for
// never, by a clock that stands at noon.
func retain(s ports.VectorStore, after time.Duration) (keeper, *clock) {
	k, c := s.(keeper), &clock{}
	k.Retain(vectorstore.Retention{After: map[string]time.Duration{people: after}, Now: c.now})
	return k, c
}

// openKeeper opens a store of vectors in the plane with a clock.
func openKeeper(t *testing.T, h StoreHarness, after time.Duration) (keeper, *clock) {
	t.Helper()
	return retain(openPlane(t, h), after)
}

// until returns a face that was enrolled at noon of a user who expires some time after noon.
func until(user, id string, vector []float32, after time.Duration) ports.Record {
	r := face(user, id, vector)
	r.EnrolledAt, r.ExpiresAt = noon, noon.Add(after)
	return r
}

// add adds a face.
func add(t *testing.T, s ports.VectorStore, r ports.Record, mode ports.Mode) {
	t.Helper()
	require.NoError(t, s.Add(t.Context(), r, mode))
}

// expiriesOf returns the expiries that the calls of a store tell of a user of people.
func expiriesOf(t *testing.T, s ports.VectorStore, user string) (all []time.Time) {
	t.Helper()
	faces, err := s.Get(t.Context(), person(user))
	require.NoError(t, err)
	for _, r := range faces {
		all = append(all, r.ExpiresAt)
	}
	for _, r := range scanAll(t, s, people, user) {
		if r.UserID == user {
			all = append(all, r.ExpiresAt)
		}
	}
	for _, m := range search(t, s, east, 1000, -1) {
		if m.UserID == user {
			all = append(all, m.ExpiresAt)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// requireExpiry checks that all faces of a user have an expiry, to the microsecond and in UTC.
func requireExpiry(t *testing.T, s ports.VectorStore, user string, want time.Time) {
	t.Helper()
	for _, at := range expiriesOf(t, s, user) {
		require.Equal(t, want, at)
	}
}

func expiryIsKept(t *testing.T, h StoreHarness) {
	s, _ := openKeeper(t, h, 0)
	zone := time.FixedZone("east", 2*60*60)
	for i, at := range []time.Time{
		{}, noon.Add(time.Microsecond), time.Date(2024, 3, 1, 0, 0, 0, 999999000, zone), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	} {
		r := face(fmt.Sprintf("user-%d", i), "f", east)
		r.ExpiresAt = at
		add(t, s, r, ports.NewUser())
		requireExpiry(t, s, r.UserID, at.UTC())
	}
	r := face("early", "f", east)
	r.ExpiresAt = time.Unix(0, 0)
	require.ErrorIs(t, s.Add(t.Context(), r, ports.NewUser()), ports.ErrInvalid)
}

// expiryOfAllFaces: a further face brings a new expiry for all, or takes that of the others.
func expiryOfAllFaces(t *testing.T, h StoreHarness) {
	s, _ := openKeeper(t, h, 0)
	add(t, s, until("ada", "f", east, time.Hour), ports.NewUser())
	add(t, s, until("bob", "f", east, time.Minute), ports.NewUser())
	further(t, s, "ada", "g", north)
	requireExpiry(t, s, "ada", noon.Add(time.Hour))
	add(t, s, until("ada", "h", west, 2*time.Hour), ports.FurtherFace(ports.Everybody()))
	requireExpiry(t, s, "ada", noon.Add(2*time.Hour))
	add(t, s, until("ada", "a", eastNorth, time.Second), ports.FurtherFace(ports.Everybody()))
	requireExpiry(t, s, "ada", noon.Add(time.Second))

	want := []ports.Record{
		until("ada", "a", eastNorth, time.Second), until("ada", "f", east, time.Second),
		face("ada", "g", north), until("ada", "h", west, time.Second),
	}
	want[2].ExpiresAt = noon.Add(time.Second)
	got, err := s.Get(t.Context(), person("ada"))
	require.NoError(t, err)
	require.Equal(t, want, got, "nothing else of the other faces changes")
	require.Equal(t, 2, count(t, s, people))
	requireExpiry(t, s, "bob", noon.Add(time.Minute))
	require.ErrorIs(t, s.Add(t.Context(), until("ada", "f", north, 3*time.Hour), ports.FurtherFace(ports.Everybody())), ports.ErrExists)
	requireExpiry(t, s, "ada", noon.Add(time.Second))
}

func expiryReplaced(t *testing.T, h StoreHarness) {
	s, _ := openKeeper(t, h, 0)
	add(t, s, until("ada", "f", east, time.Hour), ports.NewUser())
	add(t, s, until("ada", "g", east, time.Minute), ports.Replacement(ports.Everybody()))
	requireExpiry(t, s, "ada", noon.Add(time.Minute))
	add(t, s, face("ada", "h", east), ports.Replacement(ports.Everybody()))
	requireExpiry(t, s, "ada", time.Time{})
}

// requireGone checks that a store has only bob left: ada is in no answer, and no call changes
// her.
func requireGone(t *testing.T, s ports.VectorStore) {
	t.Helper()
	requireAbsent(t, s, "ada")
	require.Equal(t, []string{"bob/f"}, keysOf(scanAll(t, s, people, "")))
	require.Equal(t, 1, count(t, s, people))
	for _, owners := range []ports.Owners{ports.Everybody(), ports.OwnedBy(ownerOf("f")), ports.OwnedBy("mallory")} {
		records, err := collect(s.Scan(t.Context(), ports.Selection{Collection: people, Owners: owners, WithoutVectors: true}))
		require.NoError(t, err)
		require.NotContains(t, keysOf(records), "ada/f")
		require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), owners), ports.ErrNotFound)
		require.ErrorIs(t, s.Add(t.Context(), until("ada", "x", east, 9*time.Hour), ports.FurtherFace(owners)), ports.ErrNotFound)
		require.ErrorIs(t, s.Add(t.Context(), until("ada", "x", east, 9*time.Hour), ports.Replacement(owners)), ports.ErrNotFound)
	}
}

func expiredIsAbsent(t *testing.T, h StoreHarness) {
	s, now := openKeeper(t, h, 0)
	add(t, s, until("ada", "f", east, time.Hour), ports.NewUser())
	further(t, s, "ada", "g", north)
	enrol(t, s, "bob", west)
	now.set(time.Hour)
	requireGone(t, s)
	now.set(time.Hour - 1)
	require.Equal(t, []string{"ada/f", "ada/g", "bob/f"}, keysOf(scanAll(t, s, people, "")),
		"hiding can be undone, as a clock that was wrong can be set right")
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.Equal(t, 1, count(t, s, people))
}

// expiredAtTheMoment: a microsecond before the expiry the user is there.
func expiredAtTheMoment(t *testing.T, h StoreHarness) {
	s, now := openKeeper(t, h, time.Hour)
	enrolled := face("ada", "f", east)
	enrolled.EnrolledAt = noon
	add(t, s, enrolled, ports.NewUser())
	add(t, s, until("eve", "f", north, time.Minute), ports.NewUser())
	for _, c := range []struct {
		after time.Duration
		want  int
	}{
		{time.Minute - time.Microsecond, 2}, {time.Minute, 1}, {time.Hour - time.Microsecond, 1}, {time.Hour, 0}, {2 * time.Hour, 0},
	} {
		now.set(c.after)
		require.Equal(t, c.want, count(t, s, people), c.after)
		require.Len(t, scanAll(t, s, people, ""), c.want)
		require.Len(t, search(t, s, east, 10, -1), c.want)
	}
}

// expiredByRetention: what counts is the last enrolment, and whichever expiry comes first.
func expiredByRetention(t *testing.T, h StoreHarness) {
	s, now := openKeeper(t, h, 10*time.Hour)
	old, recent := face("ada", "f", east), face("ada", "g", north)
	old.EnrolledAt, recent.EnrolledAt = noon, noon.Add(5*time.Hour)
	add(t, s, old, ports.NewUser())
	add(t, s, recent, ports.FurtherFace(ports.Everybody()))
	stated := until("eve", "f", west, 8*time.Hour)
	add(t, s, stated, ports.NewUser())
	stay := face("bob", "f", west)
	stay.EnrolledAt = noon.Add(20 * time.Hour)
	add(t, s, stay, ports.NewUser())
	elsewhere := old
	elsewhere.Collection = others
	add(t, s, elsewhere, ports.NewUser())

	users := func() []string { return keysOf(scanAll(t, s, people, "")) }
	now.set(12 * time.Hour)
	require.Equal(t, []string{"ada/f", "ada/g", "bob/f"}, users())
	found := search(t, s, east, 10, -1)
	require.Equal(t, []string{"ada", "bob"}, usersOf(found))
	require.Equal(t, "f", found[0].FaceID, "her old face counts as long as she is there")
	require.Equal(t, 2, count(t, s, people))
	records, err := collect(s.Scan(t.Context(), ports.Selection{Collection: people, Owners: ports.OwnedBy(ownerOf("f"))}))
	require.NoError(t, err)
	require.Equal(t, []string{"ada/f", "bob/f"}, keysOf(records), "another owner's face is the recent one")

	now.set(15 * time.Hour)
	requireGone(t, s)
	require.Equal(t, 1, count(t, s, others), "it has no retention")
}

// expiredMakesRoom: a new user takes the place of one who has expired, whoever's that was.
func expiredMakesRoom(t *testing.T, h StoreHarness) {
	s, now := openKeeper(t, h, 0)
	add(t, s, until("ada", "f", east, time.Hour), ports.NewUser())
	further(t, s, "ada", "g", west)
	require.ErrorIs(t, s.Add(t.Context(), until("ada", "f", north, 9*time.Hour), ports.NewUser()), ports.ErrExists)
	now.set(time.Hour)
	fresh := owned("ada", "f", "mallory", north)
	fresh.EnrolledAt = noon.Add(time.Hour)
	add(t, s, fresh, ports.NewUser())
	got, err := s.Get(t.Context(), person("ada"))
	require.NoError(t, err)
	require.Equal(t, []ports.Record{fresh}, got)
	require.Empty(t, search(t, s, east, 10, 0.5))
	require.Equal(t, 1, count(t, s, people))
	require.ErrorIs(t, s.Add(t.Context(), fresh, ports.NewUser()), ports.ErrExists)
	now.set(0)
	require.Equal(t, []string{"ada/f"}, keysOf(scanAll(t, s, people, "")), "what made room does not come back")
}

// expiredAmongTheNearest: however many of the nearest have expired, a search finds as many
// users as it would without them.
func expiredAmongTheNearest(t *testing.T, h StoreHarness) {
	s, now := retain(h.Open(t, storeSpace(16)), 5*time.Hour)
	rng := seeded(20)
	var all oracle
	var records []ports.Record
	for i := range h.many() {
		r := face(fmt.Sprintf("user-%04d", i), "f", latticeVector(rng))
		r.EnrolledAt = noon.Add(time.Duration(rng.IntN(10)-5) * time.Hour)
		if rng.IntN(2) == 0 {
			r.ExpiresAt = noon.Add(time.Duration(rng.IntN(10)) * time.Hour)
		}
		records = append(records, r)
	}
	fill(t, s, records, ports.NewUser())
	for hour := range 10 {
		now.set(time.Duration(hour) * time.Hour)
		cutoff := ports.CutoffAt(now.now(), 5*time.Hour)
		all.records = nil
		for _, r := range records {
			if !cutoff.Expired([]ports.Record{r}) {
				all.records = append(all.records, r)
			}
		}
		q := ports.Query{Collection: people, Vector: latticeVector(rng), K: 1 + rng.IntN(10), MinScore: -1}
		got, err := s.Search(t.Context(), q)
		require.NoError(t, err)
		all.requireExact(t, q, got)
		require.Equal(t, len(all.records), count(t, s, people))
		require.Equal(t, keysOf(all.scan(people, "")), keysOf(scanAll(t, s, people, "")))
	}
}

func expiredAreListed(t *testing.T, h StoreHarness) {
	s, now := openKeeper(t, h, 10*time.Hour)
	for i := range 20 {
		r := until(fmt.Sprintf("user-%02d", i), "f", east, time.Duration(i+1)*time.Minute)
		add(t, s, r, ports.NewUser())
		if i%2 == 0 {
			further(t, s, r.UserID, "g", north)
		}
	}
	kept := face("ada", "f", east)
	kept.EnrolledAt = noon
	add(t, s, kept, ports.NewUser())
	elsewhere := until("bob", "f", east, time.Minute)
	elsewhere.Collection = others
	add(t, s, elsewhere, ports.NewUser())

	listed := func(limit int) []string {
		ids, err := s.Expired(t.Context(), people, now.now(), limit)
		require.NoError(t, err)
		return ids
	}
	require.Empty(t, listed(100))
	now.set(3 * time.Minute)
	require.ElementsMatch(t, []string{"user-00", "user-01", "user-02"}, listed(100))
	require.Len(t, listed(2), 2)
	now.set(10 * time.Hour)
	require.Len(t, listed(100), 21)
	require.Empty(t, mustExpired(t, s, "unknown", now.now()))
}

func mustExpired(t *testing.T, s keeper, collection string, at time.Time) []string {
	t.Helper()
	ids, err := s.Expired(t.Context(), collection, at, 100)
	require.NoError(t, err)
	return ids
}

// expireRemoves: who has expired is removed for good, and nobody else.
func expireRemoves(t *testing.T, h StoreHarness) {
	s, now := openKeeper(t, h, 10*time.Hour)
	add(t, s, until("ada", "f", east, time.Hour), ports.NewUser())
	further(t, s, "ada", "g", north)
	outdated := face("eve", "f", east)
	outdated.EnrolledAt = noon
	add(t, s, outdated, ports.NewUser())
	renewed := outdated
	renewed.UserID, renewed.EnrolledAt = "bob", noon.Add(5*time.Hour)
	add(t, s, renewed, ports.NewUser())

	for _, user := range []string{"ada", "eve", "bob", "nobody"} {
		require.ErrorIs(t, s.Expire(t.Context(), person(user), now.now()), ports.ErrNotFound, user)
	}
	now.set(10 * time.Hour)
	require.NoError(t, s.Expire(t.Context(), person("ada"), now.now()))
	require.NoError(t, s.Expire(t.Context(), person("eve"), now.now()))
	require.ErrorIs(t, s.Expire(t.Context(), person("ada"), now.now()), ports.ErrNotFound)
	require.ErrorIs(t, s.Expire(t.Context(), person("bob"), now.now()), ports.ErrNotFound)
	require.Empty(t, mustExpired(t, s, people, now.now()))
	now.set(0)
	require.Equal(t, []string{"bob/f"}, keysOf(scanAll(t, s, people, "")), "erasing cannot be undone")
}

func reopenKeepsExpiries(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	_, _ = retain(s, 0)
	add(t, s, until("ada", "f", east, time.Hour), ports.NewUser())
	add(t, s, until("ada", "g", north, 2*time.Hour), ports.FurtherFace(ports.Everybody()))
	enrol(t, s, "bob", east)
	again, err := h.Reopen(t, s, storeSpace(2))
	require.NoError(t, err)
	k, now := retain(again, 0)
	requireExpiry(t, k, "ada", noon.Add(2*time.Hour))
	requireExpiry(t, k, "bob", time.Time{})
	now.set(2 * time.Hour)
	requireGone(t, k)
}

func secondSeesExpiries(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	a, _ := retain(s, 0)
	b, now := retain(h.Second(t, s), 0)
	add(t, a, until("ada", "f", east, time.Hour), ports.NewUser())
	enrol(t, a, "bob", west)
	requireExpiry(t, b, "ada", noon.Add(time.Hour))
	add(t, b, until("ada", "g", north, 2*time.Hour), ports.FurtherFace(ports.Everybody()))
	requireExpiry(t, a, "ada", noon.Add(2*time.Hour))
	now.set(2 * time.Hour)
	requireGone(t, b)
	require.NoError(t, b.Expire(t.Context(), person("ada"), now.now()))
	requireAbsent(t, a, "ada")
}

// concurrentOverExpired enrols a user who has expired many times at once.
func concurrentOverExpired(t *testing.T, h StoreHarness) {
	s, now := openKeeper(t, h, 0)
	for round := range 3 {
		user := fmt.Sprintf("user-%d", round)
		add(t, s, until(user, "old", west, time.Hour), ports.NewUser())
		further(t, s, user, "older", west)
		now.set(time.Hour)
		requireOneWinner(t, user, []ports.VectorStore{s})
		now.set(0)
	}
}

// concurrentExpiry erases users who have expired while they are enrolled again: nobody who
// was enrolled again is erased.
func concurrentExpiry(t *testing.T, h StoreHarness) {
	s, now := openKeeper(t, h, 0)
	for i := range 20 {
		add(t, s, until(fmt.Sprintf("user-%02d", i), "old", west, time.Hour), ports.NewUser())
	}
	now.set(time.Hour)
	errs := fixture.Together(60, func(i int) error {
		user := fmt.Sprintf("user-%02d", i/3)
		if i%3 == 0 {
			return s.Add(t.Context(), face(user, "new", east), ports.NewUser())
		}
		if err := s.Expire(t.Context(), person(user), now.now()); !errors.Is(err, ports.ErrNotFound) {
			return err
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
	require.Len(t, search(t, s, east, 100, 0.9), 20)
	require.Equal(t, 20, count(t, s, people))
}
