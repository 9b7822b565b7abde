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
// concurrent use and does not check its input.
type oracle struct{ records []ports.Record }

func (o *oracle) add(r ports.Record, mode ports.Mode) error {
	have := o.get(r.User())
	if mode.Cutoff().Expired(have) {
		have = nil
	}
	known := slices.ContainsFunc(have, func(f ports.Record) bool { return f.FaceID == r.FaceID })
	switch kind := mode.Kind(); {
	case kind != ports.KindNewUser && len(have) == 0:
		return ports.ErrNotFound
	case !allOf(have, mode.Owners()):
		return ports.ErrForbidden
	case kind == ports.KindNewUser && len(have) > 0, kind == ports.KindFurtherFace && known:
		return ports.ErrExists
	case o.resembles(r, mode):
		return ports.ErrResembles
	case kind == ports.KindReplacement, kind == ports.KindNewUser:
		_ = o.remove(ports.WholeUser(r.User()), ports.Everybody())
	case kind == ports.KindFurtherFace && r.ExpiresAt.IsZero():
		r.ExpiresAt = have[0].ExpiresAt
	case kind == ports.KindFurtherFace:
		for i := range o.records {
			if o.records[i].User() == r.User() {
				o.records[i].ExpiresAt = r.ExpiresAt
			}
		}
	}
	o.records = append(o.records, r)
	return nil
}

// resembles reports whether the condition Unlike of a mode is broken.
func (o *oracle) resembles(r ports.Record, mode ports.Mode) bool {
	score, set := mode.UnlikeScore()
	return set && slices.ContainsFunc(o.records, func(other ports.Record) bool {
		return other.Collection == r.Collection && other.UserID != r.UserID && cosine(other.Vector, r.Vector) >= score &&
			!mode.Cutoff().Expired(o.get(other.User()))
	})
}

func (o *oracle) remove(removal ports.Removal, owners ports.Owners) error {
	have := o.get(removal.User())
	id, one := removal.Face()
	switch {
	case len(have) == 0:
		return ports.ErrNotFound
	case !allOf(have, owners):
		return ports.ErrForbidden
	case one && !slices.ContainsFunc(have, func(r ports.Record) bool { return r.FaceID == id }):
		return ports.ErrNotFound
	case one && len(have) == 1:
		return ports.ErrOnlyFace
	}
	o.records = slices.DeleteFunc(o.records, func(r ports.Record) bool {
		return r.User() == removal.User() && (!one || r.FaceID == id)
	})
	return nil
}

// expired returns the users of a collection who have expired.
func (o *oracle) expired(collection string, c ports.Cutoff) []string {
	var ids []string
	for _, r := range o.scan(collection, "") {
		if c.Expired(o.get(r.User())) && !slices.Contains(ids, r.UserID) {
			ids = append(ids, r.UserID)
		}
	}
	return ids
}

// allOf reports whether the owners of all faces are included.
func allOf(faces []ports.Record, owners ports.Owners) bool {
	return !slices.ContainsFunc(faces, func(r ports.Record) bool { return !owners.Include(r.Owner) })
}

func (o *oracle) get(user ports.UserKey) []ports.Record {
	return slices.DeleteFunc(o.scan(user.Collection, user.UserID), func(r ports.Record) bool { return r.UserID != user.UserID })
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
		if !s.WithChips {
			r.Chip = nil
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
		m := ports.Match{
			UserID: r.UserID, FaceID: r.FaceID, Owner: r.Owner, EnrolledAt: r.EnrolledAt, ExpiresAt: r.ExpiresAt,
			Score: cosine(r.Vector, q.Vector),
		}
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
	faces := o.get(ports.UserKey{Collection: q.Collection, UserID: m.UserID})
	named := slices.IndexFunc(faces, func(r ports.Record) bool { return r.FaceID == m.FaceID })
	require.GreaterOrEqual(t, named, 0, "user %s has no face %s", m.UserID, m.FaceID)
	require.Equal(t, faces[named].Owner, m.Owner)
	require.Equal(t, faces[named].ExpiresAt, m.ExpiresAt)
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
