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

func TestUserRows(t *testing.T) {
	claim := made("", 0)
	u := userRowsOf([]row{claim, made("a", 1), made("b", 2), made("c", 2), made("d", 1)})
	require.Equal(t, []string{claim.id}, u.claims)
	require.Equal(t, []row{made("b", 2), made("c", 2)}, u.faces)
	require.Equal(t, []string{made("a", 1).id, made("d", 1).id}, u.obsolete)
	require.EqualValues(t, 2, u.generation())
	require.True(t, u.has("b"))
	require.False(t, u.has("a"), "an obsolete face counts")

	u = userRowsOf([]row{claim})
	require.Empty(t, u.faces)
	require.Empty(t, u.obsolete)
	require.Zero(t, u.generation())
}

func TestPlanAdd(t *testing.T) {
	nobody := userRowsOf(nil)
	ada := userRowsOf([]row{made("a", 3), made("b", 3), made("old", 2)})
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
		"first":                  {mode: ports.NewUser(), face: "n", user: nobody, generation: 1, head: true},
		"first of another":       {mode: ports.NewUser(), face: "n", user: ada, err: ports.ErrExists},
		"further":                {mode: ports.FurtherFace(ports.Everybody()), face: "n", user: ada, generation: 3, remove: []string{old}},
		"further of nobody":      {mode: ports.FurtherFace(ports.Everybody()), face: "n", user: nobody, err: ports.ErrNotFound},
		"further again":          {mode: ports.FurtherFace(ports.Everybody()), face: "a", user: ada, err: ports.ErrExists},
		"further of a past face": {mode: ports.FurtherFace(ports.Everybody()), face: "old", user: ada, generation: 3, remove: []string{old}},
		"replacement": {mode: ports.Replacement(ports.Everybody()), face: "n", user: ada, generation: 4, head: true,
			remove: []string{old, a, b}, essential: true},
		"replacement by the same": {mode: ports.Replacement(ports.Everybody()), face: "a", user: ada, generation: 4, head: true,
			remove: []string{old, a, b}, essential: true},
		"replacement of nobody": {mode: ports.Replacement(ports.Everybody()), face: "n", user: nobody, err: ports.ErrNotFound},
	} {
		p, err := planAdd(record("ada", test.face, east), test.mode)(test.user)
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
	_, err := planAdd(record("ada", "n", east), ports.FurtherFace(ports.Everybody()))(userRowsOf(rows))
	var refusal *ports.Refusal
	require.ErrorAs(t, err, &refusal)
	require.ErrorIs(t, err, ports.ErrInvalid)
	_, err = planAdd(record("ada", "n", east), ports.FurtherFace(ports.Everybody()))(userRowsOf(rows[1:]))
	require.NoError(t, err)
	_, err = planAdd(record("ada", "n", east), ports.Replacement(ports.Everybody()))(userRowsOf(rows))
	require.NoError(t, err)
}

func TestPlanRemove(t *testing.T) {
	_, err := planRemove(ports.WholeUser(ports.UserKey{}), ports.Everybody())(userRowsOf([]row{made("", 0)}))
	require.ErrorIs(t, err, ports.ErrNotFound)
	p, err := planRemove(ports.WholeUser(ports.UserKey{}), ports.Everybody())(userRowsOf([]row{made("", 0), made("a", 2), made("b", 1)}))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{made("a", 2).id, made("b", 1).id}, p.remove)
	require.True(t, p.essential)
	require.Nil(t, p.insert)
}

// Of a user's faces one is the row by which the user is counted: when it goes, the others
// are inserted again, so that one of them takes its place.
func TestPlanRemoveFace(t *testing.T) {
	head := made("a", 2)
	head.head = true
	ada := userRowsOf([]row{made("", 0), head, made("b", 2), made("c", 2), made("old", 1)})
	planned := func(face string) plan {
		p, err := planRemove(ports.OneFace(ports.UserKey{}, face), ports.Everybody())(ada)
		require.NoError(t, err)
		require.True(t, p.essential)
		require.Nil(t, p.insert)
		return p
	}
	old, a, b, c := made("old", 1).id, made("a", 2).id, made("b", 2).id, made("c", 2).id
	p := planned("b")
	require.ElementsMatch(t, []string{old, b}, p.remove)
	require.Empty(t, p.renew)
	p = planned("a")
	require.ElementsMatch(t, []string{old, a, b, c}, p.remove)
	require.Equal(t, []string{b, c}, p.renew)
	for face, want := range map[string]error{"old": ports.ErrNotFound, "": ports.ErrNotFound} {
		_, err := planRemove(ports.OneFace(ports.UserKey{}, face), ports.Everybody())(ada)
		require.ErrorIs(t, err, want)
	}
	_, err := planRemove(ports.OneFace(ports.UserKey{}, "a"), ports.Everybody())(userRowsOf([]row{head}))
	require.ErrorIs(t, err, ports.ErrOnlyFace)
}

// A condition is checked before anything else is told about another's user.
func TestOwnersDecide(t *testing.T) {
	mine := faceRow(record("ada", "a", east), 1, true)
	rows := []row{made("", 0), mine}
	theirs := record("ada", "a", east)
	theirs.Owner = "somebody else"
	for _, mode := range []func(ports.Owners) ports.Mode{ports.FurtherFace, ports.Replacement} {
		_, err := planAdd(theirs, mode(ports.OwnedBy("somebody else")))(userRowsOf(rows))
		require.ErrorIs(t, err, ports.ErrForbidden)
		_, err = planAdd(record("ada", "n", east), mode(ports.OwnedBy(mine.owner)))(userRowsOf(rows))
		require.NoError(t, err)
	}
	_, err := planRemove(ports.WholeUser(ports.UserKey{}), ports.OwnedBy("somebody else"))(userRowsOf(rows))
	require.ErrorIs(t, err, ports.ErrForbidden)
	_, err = planRemove(ports.WholeUser(ports.UserKey{}), ports.OwnedBy(mine.owner))(userRowsOf(rows))
	require.NoError(t, err)
}

func TestPlanCleanup(t *testing.T) {
	left, gone := made("", 0).id, made("", 1).id
	p, err := planCleanup([]string{gone, left})(userRowsOf([]row{made("", 0), made("a", 2), made("b", 1)}))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{left, made("b", 1).id}, p.remove)
	require.Nil(t, p.insert)
}
