package pgstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/vectorstore"
	"imago/ports"
	"imago/test/fixture"
)

// A cutoff in the future of the server's clock erases nobody who has time left by that: one
// of the two clocks is wrong.
func TestExpireGoesByTheServersClockToo(t *testing.T) {
	t.Parallel()
	s := started(t, settingsFor(t, dsn(t)), testSpace(2))
	now := time.Now().UTC().Truncate(time.Microsecond)
	add := func(user string, enrolled, expires time.Time) {
		r := record(user, "f", east)
		r.EnrolledAt, r.ExpiresAt = enrolled, expires
		require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
	}
	add("stated", now, now.Add(time.Hour))
	add("kept", now, time.Time{})
	add("over", now.Add(-40*time.Hour), time.Time{})
	year := ports.CutoffAt(now.Add(8760*time.Hour), 24*time.Hour)
	s.Retain(vectorstore.Retention{After: map[string]time.Duration{users: 24 * time.Hour}})
	for _, user := range []string{"stated", "kept"} {
		require.ErrorIs(t, s.driver.Expire(t.Context(), userKey(user), year), ports.ErrNotFound)
		_, err := s.Get(t.Context(), userKey(user))
		require.NoError(t, err)
	}
	require.NoError(t, s.driver.Expire(t.Context(), userKey("over"), year), "the server's clock says so too")
	require.ErrorIs(t, s.driver.Expire(t.Context(), userKey("stated"), ports.CutoffAt(now, 0)), ports.ErrNotFound)
}

// The tables of an imago that knew no expiries get them; nobody is lost, and nobody expires.
func TestTablesWithoutExpiries(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	s := started(t, cfg, testSpace(2))
	for i := range 10 {
		require.NoError(t, s.Add(t.Context(), record(fmt.Sprint(i), "f", east), ports.NewUser()))
	}
	before := contents(t, s)
	closeStore(t, s)
	run(t, cfg,
		"DROP INDEX "+cfg.Schema+".faces_by_expiry, "+cfg.Schema+".faces_by_enrolment",
		"ALTER TABLE "+cfg.Schema+".faces DROP COLUMN expires_at, DROP COLUMN chip", "DELETE FROM "+cfg.Schema+".migrations WHERE version_id >= 5")
	s = started(t, cfg, testSpace(2))
	require.Equal(t, before, contents(t, s))
	r := record("late", "f", east)
	r.ExpiresAt = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
	got, err := s.Get(t.Context(), userKey("late"))
	require.NoError(t, err)
	require.Equal(t, r.ExpiresAt, got[0].ExpiresAt)
}

// An expiry that is set by hand, as by an administrator, holds in every copy.
func TestExpiryByHand(t *testing.T) {
	t.Parallel()
	for name, change := range searches {
		cfg := settingsFor(t, dsn(t))
		change(&cfg)
		s := started(t, cfg, testSpace(2))
		for _, user := range []string{"ada", "bob"} {
			require.NoError(t, s.Add(t.Context(), record(user, "f", east), ports.NewUser()))
		}
		run(t, cfg, "UPDATE "+cfg.Schema+".faces SET expires_at = now() WHERE user_id = 'ada'")
		found, err := s.Search(t.Context(), ports.Query{Collection: users, Vector: east, K: 10, MinScore: -1})
		require.NoError(t, err)
		require.Len(t, found, 1, name)
		require.Equal(t, "bob", found[0].UserID)
	}
}

// Two instances that enrol the same users in the place of others who have expired agree who
// came first.
func TestTakingOverOnTwoInstances(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	a, b := started(t, cfg, testSpace(2)), started(t, cfg, testSpace(2))
	for i := range 20 {
		r := record(fmt.Sprint(i), "old", east)
		r.ExpiresAt = time.Now().Add(-time.Hour)
		require.NoError(t, a.Add(t.Context(), r, ports.NewUser()))
	}
	won := make([]int, 20)
	errs := fixture.Together(40, func(i int) error {
		return []*store{a, b}[i%2].Add(t.Context(), record(fmt.Sprint(i/2), fmt.Sprint("new-", i%2), east), ports.NewUser())
	})
	for i, err := range errs {
		if err == nil {
			won[i/2]++
		} else {
			require.ErrorIs(t, err, ports.ErrExists)
		}
	}
	for user, n := range won {
		require.Equal(t, 1, n, user)
		faces, err := a.Get(t.Context(), userKey(fmt.Sprint(user)))
		require.NoError(t, err)
		require.Len(t, faces, 1)
	}
}
