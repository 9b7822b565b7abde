package pgstore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// A transaction beside the store stands for another imago in the middle of a
// write, so that each race runs in the one order that matters.
const (
	otherEnrols = `INSERT INTO users VALUES ('users', 'ada');
		INSERT INTO faces VALUES ('users', 'ada', 'theirs', 'x', now(), '[1,0]')`
	otherAddsFace = `SELECT FROM users WHERE user_id = 'ada' FOR KEY SHARE;
		INSERT INTO faces VALUES ('users', 'ada', 'theirs', 'x', now(), '[1,0]')`
	otherReplaces = `SELECT FROM users WHERE user_id = 'ada' FOR UPDATE; DELETE FROM faces WHERE user_id = 'ada';
		INSERT INTO faces VALUES ('users', 'ada', 'theirs', 'x', now(), '[1,0]')`
	otherRemoves = `DELETE FROM users WHERE user_id = 'ada'`
)

func TestRaces(t *testing.T) {
	dsn(t)
	t.Parallel()
	add := func(face string, mode ports.Mode) func(context.Context, *store) error {
		return func(ctx context.Context, s *store) error { return s.Add(ctx, record("ada", face, north), mode) }
	}
	remove := func(ctx context.Context, s *store) error {
		return s.Remove(ctx, ports.WholeUser(userKey("ada")), ports.Everybody())
	}
	for name, c := range map[string]struct {
		enrolled bool   // whether ada has the face "old"
		other    string // what the other imago has begun
		fails    bool   // whether it is undone in the end
		call     func(context.Context, *store) error
		err      error
		faces    []string
	}{
		"first during first":             {false, otherEnrols, false, add("mine", ports.NewUser()), ports.ErrExists, []string{"ada/theirs"}},
		"first during failed first":      {false, otherEnrols, true, add("mine", ports.NewUser()), nil, []string{"ada/mine"}},
		"first during removal":           {true, otherRemoves, false, add("mine", ports.NewUser()), nil, []string{"ada/mine"}},
		"first during failed removal":    {true, otherRemoves, true, add("mine", ports.NewUser()), ports.ErrExists, []string{"ada/old"}},
		"further during removal":         {true, otherRemoves, false, add("mine", ports.FurtherFace(ports.Everybody())), ports.ErrNotFound, nil},
		"further during failed removal":  {true, otherRemoves, true, add("mine", ports.FurtherFace(ports.Everybody())), nil, []string{"ada/mine", "ada/old"}},
		"further of the same face":       {true, otherAddsFace, false, add("theirs", ports.FurtherFace(ports.Everybody())), ports.ErrExists, []string{"ada/old", "ada/theirs"}},
		"further during replacement":     {true, otherReplaces, false, add("mine", ports.FurtherFace(ports.Everybody())), nil, []string{"ada/mine", "ada/theirs"}},
		"further of the replacement":     {true, otherReplaces, false, add("theirs", ports.FurtherFace(ports.Everybody())), ports.ErrExists, []string{"ada/theirs"}},
		"replacement during further":     {true, otherAddsFace, false, add("mine", ports.Replacement(ports.Everybody())), nil, []string{"ada/mine"}},
		"replacement by the same face":   {true, otherAddsFace, false, add("theirs", ports.Replacement(ports.Everybody())), nil, []string{"ada/theirs"}},
		"replacement during replacement": {true, otherReplaces, false, add("mine", ports.Replacement(ports.Everybody())), nil, []string{"ada/mine"}},
		"replacement during removal":     {true, otherRemoves, false, add("mine", ports.Replacement(ports.Everybody())), ports.ErrNotFound, nil},
		"removal during further":         {true, otherAddsFace, false, remove, nil, nil},
		"removal during replacement":     {true, otherReplaces, false, remove, nil, nil},
		"removal during removal":         {true, otherRemoves, false, remove, ports.ErrNotFound, nil},
		"removal during failed removal":  {true, otherRemoves, true, remove, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t, 2)
			if c.enrolled {
				require.NoError(t, s.Add(t.Context(), record("ada", "old", east), ports.NewUser()))
			}
			other := inside(t, s, c.other)
			answer := make(chan error, 1)
			go func() { answer <- c.call(t.Context(), s) }()
			waits(t, outside(t, dsn(t)), s.driver.cfg)
			if c.fails {
				require.NoError(t, other.Rollback(t.Context()))
			} else {
				require.NoError(t, other.Commit(t.Context()))
			}
			require.ErrorIs(t, <-answer, c.err)
			require.Equal(t, c.faces, contents(t, s))
		})
	}
}

// Two further faces of one user do not wait for each other.
func TestFurtherFacesTogether(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	require.NoError(t, s.Add(t.Context(), record("ada", "old", east), ports.NewUser()))
	other := inside(t, s, otherAddsFace)
	require.NoError(t, s.Add(t.Context(), record("ada", "mine", north), ports.FurtherFace(ports.Everybody())))
	require.NoError(t, other.Commit(t.Context()))
	require.Equal(t, []string{"ada/mine", "ada/old", "ada/theirs"}, contents(t, s))
}

// A face that is added while the user is being replaced waits before it has
// touched anything, so that the replacement may bring a face of the same ID.
func TestFurtherWaitsForReplacement(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	require.NoError(t, s.Add(t.Context(), record("ada", "old", east), ports.NewUser()))
	other := inside(t, s, `SELECT FROM users WHERE user_id = 'ada' FOR UPDATE`)
	answer := make(chan error, 1)
	go func() {
		answer <- s.Add(t.Context(), record("ada", "theirs", north), ports.FurtherFace(ports.Everybody()))
	}()
	waits(t, outside(t, dsn(t)), s.driver.cfg)
	_, err := other.Exec(t.Context(), `DELETE FROM faces; INSERT INTO faces VALUES ('users', 'ada', 'theirs', 'x', now(), '[1,0]')`)
	require.NoError(t, err)
	require.NoError(t, other.Commit(t.Context()))
	require.ErrorIs(t, <-answer, ports.ErrExists)
	require.Equal(t, []string{"ada/theirs"}, found(t, s, ports.Query{Vector: east, K: 1, MinScore: 0.9}))
}
