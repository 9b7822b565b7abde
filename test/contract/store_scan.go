package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func scanEmpty(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	require.Empty(t, scanAll(t, s, people, ""))
	enrol(t, s, "ada", east)
	require.Empty(t, scanAll(t, s, others, ""))
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person("ada")), ports.Everybody()))
	require.Empty(t, scanAll(t, s, people, ""))
}

func scanOrder(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for _, user := range []string{"b", "ä", "a", "Z", "aa", "10", "9", "é"} {
		enrol(t, s, user, east)
	}
	for _, id := range []string{"z", "F", "e"} {
		further(t, s, "a", id, north)
	}
	require.Equal(t, []string{
		"10/f", "9/f", "Z/f", "a/F", "a/e", "a/f", "a/z", "aa/f", "b/f", "ä/f", "é/f",
	}, keysOf(scanAll(t, s, people, "")))
}

func scanFrom(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for _, user := range []string{"ada", "bob", "bobby", "cyd"} {
		enrol(t, s, user, east)
		further(t, s, user, "g", north)
	}
	for from, want := range map[string]int{
		"": 8, "a": 8, "ada": 8, "ada!": 6, "bob": 6, "boba": 4, "bobby": 4, "c": 2, "cyd": 2, "cyda": 0, "d": 0, "ä": 0,
	} {
		require.Len(t, scanAll(t, s, people, from), want, "from %q", from)
	}
	require.Equal(t, []string{"bob/f", "bob/g", "bobby/f", "bobby/g", "cyd/f", "cyd/g"},
		keysOf(scanAll(t, s, people, "bob")))
}

// scanBreak leaves a scan early and goes on using the store.
func scanBreak(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	enrol(t, s, "bob", north)
	for range 20 {
		h.within(t, "a scan after another that was left early", func() error {
			for r, err := range s.Scan(t.Context(), ports.Everything(people, "")) {
				if err != nil || r.UserID != "ada" {
					return fmt.Errorf("the scan begins with %q, error %v", r.UserID, err)
				}
				break
			}
			return nil
		})
	}
	h.within(t, "a write after a scan that was left early", func() error {
		return s.Add(t.Context(), face("cyd", "f", west), ports.NewUser())
	})
	require.Len(t, scanAll(t, s, people, ""), 3)
}

// scanMany reads more than any page holds, with users whose faces lie on both
// sides of a page's edge wherever it is.
func scanMany(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	want := manyFaces(t, s, h.many())
	require.Equal(t, keysOf(want), keysOf(scanAll(t, s, people, "")))
	middle := want[len(want)/2].UserID
	first := slices.IndexFunc(want, func(r ports.Record) bool { return r.UserID == middle })
	require.Equal(t, want[first:], scanAll(t, s, people, middle))
}

// manyFaces enrols about n faces, three for each user, and returns them in the
// order of a scan.
func manyFaces(t *testing.T, s ports.VectorStore, n int) []ports.Record {
	t.Helper()
	var all []ports.Record
	for id, mode := range []ports.Mode{ports.NewUser(), ports.FurtherFace(ports.Everybody()), ports.FurtherFace(ports.Everybody())} {
		records := make([]ports.Record, n/3)
		for i := range records {
			records[i] = face(fmt.Sprintf("user-%05d", i), fmt.Sprintf("face-%d", id), east)
		}
		fill(t, s, records, mode)
		all = append(all, records...)
	}
	sorted := &oracle{records: all}
	return sorted.scan(people, "")
}

// scanDuringWrites changes the collection from within the loop. What is left
// alone must appear exactly once, and no lock may be held meanwhile.
func scanDuringWrites(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	before := manyFaces(t, s, h.many())
	seen := map[string]int{}
	i := 0
	for r, err := range s.Scan(t.Context(), ports.Everything(people, "")) {
		require.NoError(t, err)
		seen[r.UserID+"/"+r.FaceID]++
		if i++; i%50 == 0 {
			h.within(t, "a write during a scan", func() error {
				return disturb(t.Context(), s, before, i)
			})
		}
	}
	for _, r := range before {
		if n := seen[r.UserID+"/"+r.FaceID]; disturbed(r.UserID) {
			require.LessOrEqual(t, n, 1, r.UserID)
		} else {
			require.Equal(t, 1, n, r.UserID)
		}
	}
}

// disturbed reports whether disturb may touch a user.
func disturbed(user string) bool { return user[len(user)-1] == '7' || user[len(user)-1] == '3' }

// disturb removes or replaces some users before and after the place that a
// scan has reached, and adds new ones in between.
func disturb(ctx context.Context, s ports.VectorStore, all []ports.Record, at int) error {
	var errs []error
	for _, i := range []int{at - 40, at - 1, at + 1, at + 60} {
		if i < 0 || i >= len(all) || !disturbed(all[i].UserID) {
			continue
		}
		if err := s.Remove(ctx, ports.WholeUser(person(all[i].UserID)), ports.Everybody()); !errors.Is(err, ports.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	added := face(fmt.Sprintf("user-%05dx", at/3), "f", north)
	return errors.Join(append(errs, s.Add(ctx, added, ports.NewUser()))...)
}

// scanOfOwner has two clients' users lie between each other in every way, over
// several pages of any store.
func scanOfOwner(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	var kept oracle
	add := func(mode ports.Mode, records []ports.Record) {
		fill(t, s, records, mode)
		kept.records = append(kept.records, records...)
	}
	var first, second []ports.Record
	for i := range h.many() / 3 {
		user, owner := fmt.Sprintf("user-%05d", i), "bert"
		if i%7 == 3 || i < 20 {
			owner = "alice"
		}
		first = append(first, owned(user, "f", owner, east))
		second = append(second, owned(user, "g", owner, north))
	}
	add(ports.NewUser(), first)
	add(ports.FurtherFace(ports.Everybody()), second)
	add(ports.NewUser(), []ports.Record{owned("mixed", "f", "alice", east)})
	add(ports.FurtherFace(ports.Everybody()), []ports.Record{owned("mixed", "g", "bert", north)})

	ask := func(from, owner string) {
		t.Helper()
		selection := ports.Selection{Collection: people, From: from, Owners: ports.OwnedBy(owner)}
		got, err := collect(s.Scan(t.Context(), selection))
		require.NoError(t, err)
		require.Equal(t, kept.selected(selection), got, "of %s from %q", owner, from)
	}
	for _, owner := range []string{"alice", "bert", "carl", "alic", "alice ", "ALICE", "%"} {
		for _, from := range []string{"", "user-00010", "user-00010!", "mixed", "z"} {
			ask(from, owner)
		}
	}
	// What changes hands is the new owner's.
	taken := owned("user-00000", "f", "bert", west)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person(taken.UserID)), ports.Everybody()))
	require.NoError(t, kept.remove(ports.WholeUser(person(taken.UserID)), ports.Everybody()))
	ask("", "alice")
	add(ports.NewUser(), []ports.Record{taken})
	require.NoError(t, s.Add(t.Context(), owned("user-00001", "n", "bert", west), ports.Replacement(ports.Everybody())))
	require.NoError(t, kept.add(owned("user-00001", "n", "bert", west), ports.Replacement(ports.Everybody())))
	ask("", "alice")
	ask("", "bert")
}

func scanWithoutVectors(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	manyFaces(t, s, h.many())
	for _, owners := range []ports.Owners{ports.Everybody(), ports.OwnedBy(ownerOf("face-1"))} {
		selection := ports.Selection{Collection: people, Owners: owners}
		full, err := collect(s.Scan(t.Context(), selection))
		require.NoError(t, err)
		require.NotEmpty(t, full)
		selection.WithoutVectors = true
		names, err := collect(s.Scan(t.Context(), selection))
		require.NoError(t, err)
		for i := range full {
			require.NotEmpty(t, full[i].Vector)
			full[i].Vector = nil
		}
		require.Equal(t, full, names)
	}
}

// scanOfNobody leaves out whose users are wanted, or names what can be no owner.
func scanOfNobody(t *testing.T, h StoreHarness) {
	s := openWithAda(t, h)
	_, err := collect(s.Scan(t.Context(), ports.Selection{Collection: people}))
	require.ErrorIs(t, err, ports.ErrInvalid)
	for what, owner := range badIDs() {
		_, err := collect(s.Scan(t.Context(), ports.Selection{Collection: people, Owners: ports.OwnedBy(owner)}))
		require.ErrorIs(t, err, ports.ErrInvalid, what)
	}
}

func scanCancelled(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	all := manyFaces(t, s, h.many())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, err := range s.Scan(ctx, ports.Everything(people, "")) {
		if last = err; err != nil {
			continue
		}
		if n++; n == 5 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Less(t, n, len(all))
}
