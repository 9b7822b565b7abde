package milvusstore

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/vectorstore"
	"imago/ports"
)

// A Milvus collection of an imago that knew no expiries keeps its users, has a retention, and
// refuses an expiry in words that say what to do.
func TestCollectionWithoutExpiries(t *testing.T) {
	t.Parallel()
	space := testSpace(2)
	cfg := shared.settings(t, ports.Space{Model: "without expiries", Dimension: 2}, config.IndexExact)
	createOld(t, cfg, space, 1)
	s := started(t, cfg, space)
	old := record("ada", "f", east)
	require.NoError(t, s.Add(t.Context(), old, ports.NewUser()))
	got, err := s.Get(t.Context(), userKey("ada"))
	require.NoError(t, err)
	require.Equal(t, []ports.Record{old}, got)

	stated := record("bob", "f", east)
	stated.ExpiresAt = time.Now().Add(time.Hour)
	err = s.Add(t.Context(), stated, ports.NewUser())
	require.ErrorIs(t, err, ports.ErrInvalid)
	require.ErrorContains(t, err, "imago migrate")
	_, err = s.Get(t.Context(), userKey("bob"))
	require.ErrorIs(t, err, ports.ErrNotFound)

	now := old.EnrolledAt.Add(time.Hour)
	s.Retain(vectorstore.Retention{After: map[string]time.Duration{users: time.Hour}, Now: func() time.Time { return now }})
	_, err = s.Get(t.Context(), userKey("ada"))
	require.ErrorIs(t, err, ports.ErrNotFound)
	ids, err := s.Expired(t.Context(), users, now, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"ada"}, ids)
	require.NoError(t, s.Expire(t.Context(), userKey("ada"), now))
	s.Retain(vectorstore.Retention{})
	_, err = s.Get(t.Context(), userKey("ada"))
	require.ErrorIs(t, err, ports.ErrNotFound)
}

// createOld creates the Milvus collection that an imago of an earlier layout made.
func createOld(t testing.TB, cfg config.MilvusStore, space ports.Space, layout int) {
	t.Helper()
	description, err := json.Marshal(metadata{layout, space.Model, space.ID()})
	require.NoError(t, err)
	connection, err := dial(t.Context(), cfg, discard())
	require.NoError(t, err)
	defer connection.Close()
	schema := entity.NewSchema().WithName(cfg.Collection).WithDescription(string(description)).
		WithField(text(idField, idBytes).WithIsPrimaryKey(true)).
		WithField(text(collectionField, 64)).
		WithField(text(ownerField, 256)).
		WithField(entity.NewField().WithName(enrolledAtField).WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName(generationField).WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName(headField).WithDataType(entity.FieldTypeBool)).
		WithField(entity.NewField().WithName(vectorField).WithDataType(entity.FieldTypeFloatVector).WithDim(int64(space.Dimension)))
	if layout > 1 {
		schema.WithField(entity.NewField().WithName(expiresAtField).WithDataType(entity.FieldTypeInt64))
	}
	require.NoError(t, connection.CreateCollection(t.Context(), schema, 1, client.WithConsistencyLevel(entity.ClStrong)))
}

// A further face that brings another expiry makes a new generation, in which all is as it was
// but the expiry; one that does not is a row more.
func TestFurtherFaceWithExpiry(t *testing.T) {
	server := newFakeServer()
	s, table := instance(t, server, 2)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	require.NoError(t, s.Add(t.Context(), record("ada", "a", east), ports.NewUser()))
	require.NoError(t, s.Add(t.Context(), record("ada", "b", east), ports.FurtherFace(ports.Everybody())))
	require.Len(t, server.inserted, 2)
	r := record("ada", "c", east)
	r.ExpiresAt = at
	require.NoError(t, s.Add(t.Context(), r, ports.FurtherFace(ports.Everybody())))
	require.Len(t, server.inserted, 5)
	require.NoError(t, s.Add(t.Context(), record("ada", "d", east), ports.FurtherFace(ports.Everybody())))
	require.Len(t, server.inserted, 6)
	got, err := s.Get(t.Context(), userKey("ada"))
	require.NoError(t, err)
	require.Len(t, got, 4)
	for i, want := range []string{"a", "b", "c", "d"} {
		w := record("ada", want, east)
		w.ExpiresAt = at
		require.Equal(t, w, got[i])
	}
	heads, err := table.countUsers(t.Context(), users)
	require.NoError(t, err)
	require.Equal(t, 1, heads)
}

// Wherever a further face with another expiry is cut off, the user has the faces and the
// expiry of before or of afterwards.
func TestFurtherFaceWithExpiryIsOneStep(t *testing.T) {
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	done := false
	for n := 0; !done; n++ {
		server := newFakeServer()
		s, table := instance(t, server, 2)
		require.NoError(t, s.Add(t.Context(), record("ada", "a", east), ports.NewUser()))
		require.NoError(t, s.Add(t.Context(), record("ada", "b", east), ports.FurtherFace(ports.Everybody())))
		table.before = failing(n)
		r := record("ada", "c", east)
		r.ExpiresAt = at
		done = s.Add(t.Context(), r, ports.FurtherFace(ports.Everybody())) == nil
		table.before = nil
		got, err := s.Get(t.Context(), userKey("ada"))
		require.NoError(t, err)
		for _, f := range got {
			require.Equal(t, len(got) == 3, f.ExpiresAt.Equal(at), n)
		}
		require.Contains(t, []int{2, 3}, len(got))
		require.True(t, !done || len(got) == 3)
	}
}
