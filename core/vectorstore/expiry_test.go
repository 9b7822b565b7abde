package vectorstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/vectorstore"
	"imago/ports"
)

// changing is a driver whose only user is changed by others between a search and the reading
// of her faces.
type changing struct {
	driver
	faces   []ports.Record // of the search, and of Get until it is changed
	then    []ports.Record // what Get finds first
	asked   []int          // the K of the searches
	changed bool
}

func (d *changing) Search(_ context.Context, q ports.Query) ([]ports.Match, error) {
	d.asked = append(d.asked, q.K)
	var found []ports.Match
	for _, r := range d.faces[:min(1, len(d.faces))] {
		found = append(found, ports.Match{UserID: r.UserID, FaceID: r.FaceID, EnrolledAt: r.EnrolledAt, ExpiresAt: r.ExpiresAt, Score: 1})
	}
	return found, nil
}

func (d *changing) Get(context.Context, ports.UserKey) ([]ports.Record, error) {
	if d.changed = true; d.then != nil {
		d.faces = d.then
	}
	if len(d.faces) == 0 {
		return nil, ports.ErrNotFound
	}
	return d.faces, nil
}

// A user who is changed while a search looks whether she has expired is found as she was
// before or as she is afterwards.
func TestSearchDuringChanges(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	record := func(face string, age time.Duration) ports.Record {
		r := face1(face)
		r.EnrolledAt = now.Add(-age)
		return r
	}
	old, renewed, anew := record("f", 2*time.Hour), record("g", time.Minute), record("h", 0)
	for name, c := range map[string]struct {
		then []ports.Record
		want string // the face that is found
	}{
		"nothing":          {[]ports.Record{old}, ""},
		"a further face":   {[]ports.Record{old, renewed}, "f"},
		"a removal":        {[]ports.Record{}, ""},
		"a new enrolment":  {[]ports.Record{anew}, "h"},
		"the same face ID": {[]ports.Record{record("f", 0)}, "f"},
	} {
		d := &changing{faces: []ports.Record{old}, then: c.then}
		s := vectorstore.New("acme", d, space)
		s.Retain(vectorstore.Retention{After: map[string]time.Duration{"users": time.Hour}, Now: func() time.Time { return now }})
		require.NoError(t, s.Start(t.Context()))
		found, err := s.Search(t.Context(), query())
		require.NoError(t, err)
		require.True(t, d.changed)
		got := ""
		for _, m := range found {
			got = m.FaceID
		}
		require.Equal(t, c.want, got, name)
		require.NoError(t, s.Close(t.Context()))
	}
}

// A search whose nearest users have expired asks for more; one whose have not does not.
func TestSearchAsksForMoreOnlyWhereItMust(t *testing.T) {
	d := &changing{faces: []ports.Record{face1("f")}}
	s := vectorstore.New("acme", d, space)
	require.NoError(t, s.Start(t.Context()))
	found, err := s.Search(t.Context(), query())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, []int{1}, d.asked)
	require.False(t, d.changed, "the faces were read although nobody expires")

	d.faces[0].ExpiresAt = time.Now().Add(-time.Hour)
	found, err = s.Search(t.Context(), query())
	require.NoError(t, err)
	require.Empty(t, found)
	require.Equal(t, []int{1, 1, 2}, d.asked)
	require.NoError(t, s.Close(t.Context()))
}

func face1(id string) ports.Record {
	r := face()
	r.FaceID = id
	return r
}
