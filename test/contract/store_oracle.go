package contract

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// oracle is the right answer computed the slow and obvious way: a list of
// records that is searched from end to end in float64. It is not safe for
// concurrent use and does not judge its input.
type oracle struct{ records []ports.Record }

func (o *oracle) add(r ports.Record, mode ports.Mode) error {
	have := o.get(r.Collection, r.UserID)
	known := slices.ContainsFunc(have, func(f ports.Record) bool { return f.FaceID == r.FaceID })
	switch base := mode.Base(); {
	case base != ports.First && len(have) == 0:
		return ports.ErrNotFound
	case mode.IfOwner() && !ownedBy(have, r.Owner):
		return ports.ErrForbidden
	case base == ports.First && len(have) > 0, base == ports.Further && known:
		return ports.ErrExists
	case base == ports.Replacement:
		_ = o.remove(r.Collection, r.UserID, "")
	}
	o.records = append(o.records, r)
	return nil
}

func (o *oracle) remove(collection, user, owner string) error {
	have := o.get(collection, user)
	switch {
	case len(have) == 0:
		return ports.ErrNotFound
	case owner != "" && !ownedBy(have, owner):
		return ports.ErrForbidden
	}
	o.records = slices.DeleteFunc(o.records, func(r ports.Record) bool {
		return r.Collection == collection && r.UserID == user
	})
	return nil
}

// ownedBy reports whether all faces have the given owner.
func ownedBy(faces []ports.Record, owner string) bool {
	return !slices.ContainsFunc(faces, func(r ports.Record) bool { return r.Owner != owner })
}

func (o *oracle) get(collection, user string) []ports.Record {
	return slices.DeleteFunc(o.scan(collection, user), func(r ports.Record) bool { return r.UserID != user })
}

func (o *oracle) scan(collection, from string) []ports.Record {
	var found []ports.Record
	for _, r := range o.records {
		if r.Collection == collection && r.UserID >= from {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b ports.Record) int {
		return cmp.Or(cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.FaceID, b.FaceID))
	})
	return found
}

// selected is scan for the owners of a selection, with or without vectors.
func (o *oracle) selected(s ports.Selection) []ports.Record {
	var found []ports.Record
	for _, r := range o.scan(s.Collection, s.From) {
		if s.WithoutVectors {
			r.Vector = nil
		}
		if s.Owners.Include(r.Owner) {
			found = append(found, r)
		}
	}
	return found
}

func (o *oracle) count(collection string) int {
	users := map[string]bool{}
	for _, r := range o.scan(collection, "") {
		users[r.UserID] = true
	}
	return len(users)
}

// ranking returns every user of a collection, best first, with the best face.
func (o *oracle) ranking(q ports.Query) []ports.Match {
	best := map[string]ports.Match{}
	for _, r := range o.scan(q.Collection, "") {
		m := ports.Match{UserID: r.UserID, FaceID: r.FaceID, Owner: r.Owner, Score: cosine(r.Vector, q.Vector)}
		if have, ok := best[r.UserID]; !ok || m.Score > have.Score {
			best[r.UserID] = m
		}
	}
	ranked := make([]ports.Match, 0, len(best))
	for _, m := range best {
		ranked = append(ranked, m)
	}
	slices.SortFunc(ranked, func(a, b ports.Match) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.UserID, b.UserID))
	})
	return ranked
}

func (o *oracle) search(q ports.Query) []ports.Match {
	ranked := slices.DeleteFunc(o.ranking(q), func(m ports.Match) bool { return m.Score < q.MinScore })
	return ranked[:min(q.K, len(ranked))]
}

// requireExact checks an answer of a store whose vectors are of the lattice, so
// that scores and therefore ranks are exact. Of equally good faces of a user
// any may be named.
func (o *oracle) requireExact(t *testing.T, q ports.Query, got []ports.Match) {
	t.Helper()
	want := o.search(q)
	require.Equal(t, usersOf(want), usersOf(got))
	for i := range want {
		require.InDelta(t, want[i].Score, got[i].Score, 0, "score of %s", got[i].UserID)
		o.requireBestFace(t, q, got[i], 0)
	}
}

// requireNear checks an answer whose scores may be off by a rounding error: no
// user whose score is clear of the limit is missing or too much.
func (o *oracle) requireNear(t *testing.T, q ports.Query, got []ports.Match, tolerance float64) {
	t.Helper()
	requireWellFormed(t, q, got)
	limit := q.MinScore
	if len(got) == q.K {
		limit = got[len(got)-1].Score
	}
	scores := map[string]float64{}
	for _, m := range got {
		scores[m.UserID] = m.Score
		o.requireBestFace(t, q, m, tolerance)
	}
	for _, m := range o.ranking(q) {
		if score, ok := scores[m.UserID]; ok {
			require.InDelta(t, m.Score, score, tolerance)
			continue
		}
		require.Less(t, m.Score, limit+tolerance, "user %s is missing", m.UserID)
	}
}

// requireBestFace checks that a match names a face of the user that scores as
// well as the match says and as well as any other, and the face's owner.
func (o *oracle) requireBestFace(t *testing.T, q ports.Query, m ports.Match, tolerance float64) {
	t.Helper()
	faces := o.get(q.Collection, m.UserID)
	named := slices.IndexFunc(faces, func(r ports.Record) bool { return r.FaceID == m.FaceID })
	require.GreaterOrEqual(t, named, 0, "user %s has no face %s", m.UserID, m.FaceID)
	require.Equal(t, faces[named].Owner, m.Owner)
	require.InDelta(t, cosine(faces[named].Vector, q.Vector), m.Score, tolerance)
	for _, r := range faces {
		require.LessOrEqual(t, cosine(r.Vector, q.Vector), m.Score+tolerance)
	}
}

// requireWellFormed checks what holds of every answer whatever is stored.
func requireWellFormed(t *testing.T, q ports.Query, got []ports.Match) {
	t.Helper()
	require.Empty(t, malformed(q, got))
}

// malformed says what is wrong with the form of an answer, "" for nothing.
func malformed(q ports.Query, got []ports.Match) string {
	if len(got) > q.K {
		return "more matches than wanted"
	}
	seen := map[string]bool{}
	for i, m := range got {
		switch {
		case seen[m.UserID]:
			return "a user twice"
		case m.Score < q.MinScore:
			return "a score below the minimum"
		case math.IsNaN(m.Score) || m.Score < -1 || m.Score > 1:
			return "a score outside [-1, 1]"
		case i > 0 && (m.Score > got[i-1].Score || m.Score == got[i-1].Score && m.UserID < got[i-1].UserID):
			return "matches out of order"
		}
		seen[m.UserID] = true
	}
	return ""
}

// cosine is the product of two unit vectors, summed in float64.
func cosine(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
