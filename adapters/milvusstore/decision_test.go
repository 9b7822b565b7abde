package milvusstore

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// made returns a row of the user ada with a known ID.
func made(face string, generation int64) row {
	return row{id: key{users, "ada"}.prefix() + face + separator + fmt.Sprint(generation), generation: generation}
}

func TestSurvey(t *testing.T) {
	claim := made("", 0)
	u := survey([]row{claim, made("a", 1), made("b", 2), made("c", 2), made("d", 1)})
	require.Equal(t, []string{claim.id}, u.claims)
	require.Equal(t, []row{made("b", 2), made("c", 2)}, u.faces)
	require.Equal(t, []string{made("a", 1).id, made("d", 1).id}, u.obsolete)
	require.EqualValues(t, 2, u.generation())
	require.True(t, u.has("b"))
	require.False(t, u.has("a"), "an obsolete face counts")

	u = survey([]row{claim})
	require.Empty(t, u.faces)
	require.Empty(t, u.obsolete)
	require.Zero(t, u.generation())
}

func TestAdding(t *testing.T) {
	nobody := survey(nil)
	ada := survey([]row{made("a", 3), made("b", 3), made("old", 2)})
	old, a, b := made("old", 2).id, made("a", 3).id, made("b", 3).id
	for name, test := range map[string]struct {
		mode       ports.Mode
		face       string
		user       userRows
		err        error
		generation int64
		head       bool
		remove     []string
		essential  bool
	}{
		"first":                  {mode: ports.First, face: "n", user: nobody, generation: 1, head: true},
		"first of another":       {mode: ports.First, face: "n", user: ada, err: ports.ErrExists},
		"further":                {mode: ports.Further, face: "n", user: ada, generation: 3, remove: []string{old}},
		"further of nobody":      {mode: ports.Further, face: "n", user: nobody, err: ports.ErrNotFound},
		"further again":          {mode: ports.Further, face: "a", user: ada, err: ports.ErrExists},
		"further of a past face": {mode: ports.Further, face: "old", user: ada, generation: 3, remove: []string{old}},
		"replacement": {mode: ports.Replacement, face: "n", user: ada, generation: 4, head: true,
			remove: []string{old, a, b}, essential: true},
		"replacement by the same": {mode: ports.Replacement, face: "a", user: ada, generation: 4, head: true,
			remove: []string{old, a, b}, essential: true},
		"replacement of nobody": {mode: ports.Replacement, face: "n", user: nobody, err: ports.ErrNotFound},
	} {
		p, err := adding(record("ada", test.face, east), test.mode)(test.user)
		require.ErrorIs(t, err, test.err, name)
		require.Equal(t, test.remove, p.remove, name)
		require.Equal(t, test.essential, p.essential, name)
		if test.err != nil {
			require.Nil(t, p.insert, name)
			continue
		}
		require.Equal(t, test.generation, p.insert.generation, name)
		require.Equal(t, test.head, p.insert.head, name)
		require.Equal(t, record("ada", test.face, east), p.insert.record(), name)
		require.NotContains(t, p.remove, p.insert.id, "an ID that comes back")
	}
}

func TestTooManyFaces(t *testing.T) {
	var rows []row
	for i := range maxFaces {
		rows = append(rows, made(fmt.Sprintf("face-%04d", i), 1))
	}
	_, err := adding(record("ada", "n", east), ports.Further)(survey(rows))
	var refusal *ports.Refusal
	require.ErrorAs(t, err, &refusal)
	require.ErrorIs(t, err, ports.ErrInvalid)
	_, err = adding(record("ada", "n", east), ports.Further)(survey(rows[1:]))
	require.NoError(t, err)
	_, err = adding(record("ada", "n", east), ports.Replacement)(survey(rows))
	require.NoError(t, err)
}

func TestRemoving(t *testing.T) {
	_, err := removing("")(survey([]row{made("", 0)}))
	require.ErrorIs(t, err, ports.ErrNotFound)
	p, err := removing("")(survey([]row{made("", 0), made("a", 2), made("b", 1)}))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{made("a", 2).id, made("b", 1).id}, p.remove)
	require.True(t, p.essential)
	require.Nil(t, p.insert)
}

// A condition is judged before anything else is told about another's user.
func TestOwnersDecide(t *testing.T) {
	mine := faceRow(record("ada", "a", east), 1, true)
	rows := []row{made("", 0), mine}
	theirs := record("ada", "a", east)
	theirs.Owner = "somebody else"
	for _, mode := range []ports.Mode{ports.Further | ports.IfOwner, ports.Replacement | ports.IfOwner} {
		_, err := adding(theirs, mode)(survey(rows))
		require.ErrorIs(t, err, ports.ErrForbidden)
		_, err = adding(record("ada", "n", east), mode)(survey(rows))
		require.NoError(t, err)
	}
	_, err := removing("somebody else")(survey(rows))
	require.ErrorIs(t, err, ports.ErrForbidden)
	_, err = removing(mine.owner)(survey(rows))
	require.NoError(t, err)
}

func TestTidying(t *testing.T) {
	left, gone := made("", 0).id, made("", 1).id
	p, err := tidying([]string{gone, left})(survey([]row{made("", 0), made("a", 2), made("b", 1)}))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{left, made("b", 1).id}, p.remove)
	require.Nil(t, p.insert)
}
