package gallery_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/gallery"
	"imago/ports"
)

func TestReplace(t *testing.T) {
	g, s := newGallery()
	require.ErrorIs(t, g.Replace(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}), ports.ErrNotFound)
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}))
	require.NoError(t, g.AddFace(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}))
	before := slices.Clone(s.records)
	require.Len(t, before, 2)
	require.NoError(t, g.Replace(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}))
	require.Len(t, s.records, 1)
	require.NotContains(t, before, s.records[0])
}

func TestAddFace(t *testing.T) {
	g, s := newGallery()
	require.ErrorIs(t, g.AddFace(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}), ports.ErrNotFound)
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}))
	for range 99 {
		require.NoError(t, g.AddFace(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}))
	}
	require.ErrorIs(t, g.AddFace(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}), ports.ErrInvalid)
	require.Len(t, s.records, 100)
}

func TestUser(t *testing.T) {
	g, s := newGallery()
	_, err := g.User(t.Context(), alice, "users", "u1")
	require.ErrorIs(t, err, ports.ErrNotFound)
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "u1", Picture: picture}))
	got, err := g.User(t.Context(), bob, "users", "u1")
	require.NoError(t, err)
	require.Equal(t, gallery.User{UserID: "u1", Faces: []gallery.UserFace{
		{FaceID: s.records[0].FaceID, EnrolledAt: s.records[0].EnrolledAt},
	}}, got)
}

func TestSharedCollectionIsOnesOwn(t *testing.T) {
	g, _ := newGallery()
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "blacklist", UserID: "a", Picture: picture}))
	require.NoError(t, g.Enrol(t.Context(), bob, gallery.Enrolment{Collection: "blacklist", UserID: "b", Picture: picture}))
	_, err := g.User(t.Context(), bob, "blacklist", "a")
	require.ErrorIs(t, err, ports.ErrNotFound)
	require.ErrorIs(t, g.Replace(t.Context(), bob, gallery.Enrolment{Collection: "blacklist", UserID: "a", Picture: picture}), ports.ErrNotFound)
	require.ErrorIs(t, g.AddFace(t.Context(), bob, gallery.Enrolment{Collection: "blacklist", UserID: "a", Picture: picture}), ports.ErrNotFound)
	page, err := g.Users(t.Context(), bob, "blacklist", "", 10)
	require.NoError(t, err)
	require.Len(t, page.Users, 1)
	require.Equal(t, "b", page.Users[0].UserID)
}

// Whoever looks at the owner first and changes the user then may meet another
// client's user: every change of a shared list is conditional in the store too.
func TestSharedCollectionWhoseUserIsTakenOver(t *testing.T) {
	for name, change := range map[string]func(g *gallery.Gallery) error{
		"unenrol": func(g *gallery.Gallery) error { return g.Unenrol(t.Context(), alice, "blacklist", "a") },
		"replace": func(g *gallery.Gallery) error {
			return g.Replace(t.Context(), alice, gallery.Enrolment{Collection: "blacklist", UserID: "a", Picture: picture})
		},
		"add face": func(g *gallery.Gallery) error {
			return g.AddFace(t.Context(), alice, gallery.Enrolment{Collection: "blacklist", UserID: "a", Picture: picture})
		},
	} {
		g, s := newGallery()
		require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "blacklist", UserID: "a", Picture: picture}))
		s.got = func() { s.records[0].Owner = "bob" }
		require.ErrorIs(t, change(g), ports.ErrNotFound, name)
		require.Len(t, s.records, 1, name)
	}
}

func TestSharedCollectionIsNobodysWithoutAName(t *testing.T) {
	g, s := newGallery()
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "blacklist", UserID: "a", Picture: picture}))
	require.ErrorIs(t, g.Unenrol(t.Context(), ports.Client{}, "blacklist", "a"), ports.ErrNotFound)
	require.Len(t, s.records, 1)
}

// Paging through a collection shows every user once, with all faces, whatever
// the size of a page.
func TestUsersPages(t *testing.T) {
	g, _ := newGallery()
	for i := range 25 {
		id := fmt.Sprintf("u%02d", i)
		require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: id, Picture: picture}))
		for range i % 3 {
			require.NoError(t, g.AddFace(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: id, Picture: picture}))
		}
	}
	for _, limit := range []int{1, 4, 24, 25, 26, 100} {
		seen, from := 0, ""
		for {
			page, err := g.Users(t.Context(), alice, "users", from, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Users), limit)
			for _, u := range page.Users {
				require.Equal(t, fmt.Sprintf("u%02d", seen), u.UserID)
				require.Len(t, u.Faces, 1+seen%3)
				seen++
			}
			if from = page.Next; from == "" {
				break
			}
		}
		require.Equal(t, 25, seen, "limit %d", limit)
	}
	_, err := g.Users(t.Context(), alice, "users", "", 0)
	require.ErrorIs(t, err, ports.ErrInvalid)
	_, err = g.Users(t.Context(), alice, "users", "", 101)
	require.ErrorIs(t, err, ports.ErrInvalid)
	_, err = g.Users(t.Context(), alice, "nope", "", 10)
	require.ErrorIs(t, err, ports.ErrNotFound)
}

// Of a shared list a client that owns little gets pages of its own users alone: where
// one ends, and whether there is another, says nothing of the thousands in between.
func TestUsersOfASharedListNameNobodyElse(t *testing.T) {
	g, s := newGallery()
	for i := range 2_500 {
		s.records = append(s.records, ports.Record{Collection: "blacklist", UserID: fmt.Sprintf("u%05d", i), FaceID: "f", Owner: "bob"})
	}
	for _, i := range []int{20, 900, 2_400} {
		s.records[i].Owner = "alice"
	}
	carol := ports.Client{Name: "carol"}
	for from, want := range map[string]string{"": "u00020", "u00020": "u00020", "u00021": "u00900", "u00901": "u02400", "u02401": "", "v": ""} {
		page, err := g.Users(t.Context(), alice, "blacklist", from, 1)
		require.NoError(t, err)
		next := map[string]string{"u00020": "u00900", "u00900": "u02400"}[want]
		require.Equal(t, next, page.Next, "from %q", from)
		require.Equal(t, want != "", len(page.Users) == 1)
		if want != "" {
			require.Equal(t, want, page.Users[0].UserID)
		}
		for _, client := range []ports.Client{carol, {}} {
			page, err = g.Users(t.Context(), client, "blacklist", from, 1)
			require.NoError(t, err)
			require.Zero(t, page)
		}
	}
}

// Who may not see users is not told by the answer to a useless picture which of them
// there are; who may is answered before the costly work.
func TestUselessPicturesTellNothing(t *testing.T) {
	g, s := newGallery()
	writer := ports.Client{Name: "writer", Operations: []ports.Operation{ports.OpEnrol}}
	useless := []byte("useless")
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "users", UserID: "there", Picture: picture}))
	require.NoError(t, g.Enrol(t.Context(), alice, gallery.Enrolment{Collection: "blacklist", UserID: "there", Picture: picture}))
	calls := map[string]func(c ports.Client, list, id string, picture []byte) error{
		"enrol": func(c ports.Client, list, id string, p []byte) error {
			return g.Enrol(t.Context(), c, gallery.Enrolment{Collection: list, UserID: id, Picture: p})
		},
		"replace": func(c ports.Client, list, id string, p []byte) error {
			return g.Replace(t.Context(), c, gallery.Enrolment{Collection: list, UserID: id, Picture: p})
		},
		"add face": func(c ports.Client, list, id string, p []byte) error {
			return g.AddFace(t.Context(), c, gallery.Enrolment{Collection: list, UserID: id, Picture: p})
		},
	}
	before := slices.Clone(s.records)
	for name, call := range calls {
		for _, list := range []string{"users", "blacklist"} {
			there, absent := call(writer, list, "there", useless), call(writer, list, "absent", useless)
			require.ErrorIs(t, there, ports.ErrInvalid, "%s in %s", name, list)
			require.Equal(t, absent, there, "%s in %s", name, list)
		}
		// Bob may read, but alice's user of a shared list is none of his.
		for _, kind := range []error{ports.ErrInvalid, ports.ErrNotFound} {
			require.Equal(t, errors.Is(call(bob, "blacklist", "absent", useless), kind), errors.Is(call(bob, "blacklist", "there", useless), kind), name)
		}
	}
	require.ErrorIs(t, calls["enrol"](bob, "users", "there", useless), ports.ErrExists)
	require.ErrorIs(t, calls["replace"](bob, "users", "absent", useless), ports.ErrNotFound)
	require.ErrorIs(t, calls["replace"](writer, "users", "absent", picture), ports.ErrNotFound)
	require.ErrorIs(t, calls["add face"](writer, "blacklist", "there", picture), ports.ErrNotFound)
	require.Equal(t, before, s.records)
	require.NoError(t, calls["add face"](writer, "users", "there", picture))
}
