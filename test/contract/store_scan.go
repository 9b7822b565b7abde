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
	require.NoError(t, s.Remove(t.Context(), people, "ada", ""))
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
			for r, err := range s.Scan(t.Context(), people, "") {
				if err != nil || r.UserID != "ada" {
					return fmt.Errorf("the scan begins with %q, error %v", r.UserID, err)
				}
				break
			}
			return nil
		})
	}
	h.within(t, "a write after a scan that was left early", func() error {
		return s.Add(t.Context(), face("cyd", "f", west), ports.First)
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
	for id, mode := range []ports.Mode{ports.First, ports.Further, ports.Further} {
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
	for r, err := range s.Scan(t.Context(), people, "") {
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
		if err := s.Remove(ctx, people, all[i].UserID, ""); !errors.Is(err, ports.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	added := face(fmt.Sprintf("user-%05dx", at/3), "f", north)
	return errors.Join(append(errs, s.Add(ctx, added, ports.First))...)
}

func scanCancelled(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	all := manyFaces(t, s, h.many())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, err := range s.Scan(ctx, people, "") {
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
