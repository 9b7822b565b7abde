package gallery_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/gallery"
	"imago/ports"
)

// keeping returns a gallery that keeps users for a month and those of the whitelist for an hour.
func keeping() (*gallery.Gallery, *store) {
	s := new(store)
	return gallery.New(extractor{"anna": anna}, s, gallery.Options{
		Lists:     []gallery.Collection{{Name: "blacklist", Shared: true}, {Name: "whitelist", Retention: time.Hour}},
		Retention: 30 * 24 * time.Hour,
		Curve:     calibration.Curve{Midpoint: 0.414, Steepness: 20.9},
		Now:       func() time.Time { return when },
	}), s
}

// An expiry goes with every kind of enrolment, and must be in the future.
func TestExpiresAt(t *testing.T) {
	g, s := keeping()
	for _, enrol := range []func(context.Context, ports.Client, gallery.Enrolment) error{g.Enrol, g.AddFace, g.Replace} {
		e := gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}
		for _, past := range []time.Time{when, when.Add(-time.Hour), time.Unix(0, 0)} {
			e.ExpiresAt = past
			err := enrol(t.Context(), alice, e)
			require.ErrorIs(t, err, ports.ErrInvalid)
			require.ErrorContains(t, err, "expiresAt must be in the future")
		}
		e.ExpiresAt = when.Add(time.Hour)
		require.NoError(t, enrol(t.Context(), alice, e))
		require.Equal(t, e.ExpiresAt, s.records[len(s.records)-1].ExpiresAt)
	}
}

// The earlier of the retention and the stated expiry is shown; the last enrolment counts.
func TestUserShowsTheEarlierExpiry(t *testing.T) {
	g, s := keeping()
	record := func(collection, user, face string, enrolled, expires time.Time) {
		s.records = append(s.records, ports.Record{Collection: collection, UserID: user, FaceID: face, Owner: "alice", EnrolledAt: enrolled, ExpiresAt: expires})
	}
	month := 30 * 24 * time.Hour
	record("users", "kept", "f", when, time.Time{})
	record("users", "renewed", "f", when, time.Time{})
	record("users", "renewed", "g", when.Add(time.Hour), time.Time{})
	record("users", "stated", "f", when, when.Add(time.Minute))
	record("users", "too-late", "f", when, when.Add(2*month))
	record("blacklist", "for-ever", "f", when, time.Time{})
	record("blacklist", "stated", "f", when, when.Add(2*month))
	record("whitelist", "kept", "f", when, time.Time{})
	for collection, want := range map[string]map[string]time.Time{
		"users": {
			"kept": when.Add(month), "renewed": when.Add(time.Hour + month), "stated": when.Add(time.Minute), "too-late": when.Add(month),
		},
		"blacklist": {"for-ever": {}, "stated": when.Add(2 * month)},
		"whitelist": {"kept": when.Add(time.Hour)},
	} {
		page, err := g.Users(t.Context(), alice, collection, "", 100)
		require.NoError(t, err)
		require.Len(t, page.Users, len(want))
		for _, listed := range page.Users {
			require.Equal(t, want[listed.UserID], listed.ExpiresAt, listed.UserID)
			one, err := g.User(t.Context(), alice, collection, listed.UserID)
			require.NoError(t, err)
			require.Equal(t, listed, one)
		}
	}
}
