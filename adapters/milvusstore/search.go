package milvusstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"imago/ports"
)

// Search implements ports.StoreDriver. Milvus finds the nearest faces by scores of
// its own, which may be off in the last digits and cuts ties as it likes. The
// scores that count are computed here from the vectors that it returns, and more
// faces are fetched until none that was left out can matter. With the HNSW index
// Milvus itself leaves some out.
func (d *Driver) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	for limit := min(initialLimit(q.K), maxRead); ; limit = min(8*limit, maxRead) {
		rows, err := d.table.nearest(ctx, q.Collection, q.Vector, limit)
		if err != nil {
			return nil, err
		}
		found := newRanking(q)
		found.add(rows)
		if len(rows) < limit || found.complete() {
			return found.best(), nil
		}
		if limit == maxRead {
			return d.searchExhaustively(ctx, q)
		}
	}
}

// initialLimit is how many faces are fetched first: enough for most users to have
// two, and for a tie behind the last.
func initialLimit(k int) int { return 2*k + 16 }

// searchExhaustively compares with every face of the collection. It is slow, but right
// where even the most rows that Milvus returns end in a tie, or are too many faces
// of too few users.
func (d *Driver) searchExhaustively(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	found := newRanking(q)
	for rows, err := range d.pages(ctx, ports.Selection{Collection: q.Collection, Owners: ports.Everybody()}) {
		if err != nil {
			return nil, err
		}
		found.add(rows)
		found.trim()
	}
	return found.best(), nil
}

// ranking is the users found so far, each with the best face.
type ranking struct {
	query  ports.Query
	users  map[string]candidate
	lowest float64 // of all scores that were added
}

type candidate struct {
	match      ports.Match
	generation int64
}

func newRanking(q ports.Query) *ranking {
	return &ranking{query: q, users: map[string]candidate{}, lowest: 2}
}

// add considers faces. Of a user with faces of several generations only the
// latest counts.
func (k *ranking) add(rows []row) {
	for _, r := range rows {
		at, face := r.parts()
		score := cosine(k.query.Vector, r.vector)
		k.lowest = min(k.lowest, score)
		c := candidate{ports.Match{
			UserID: at.UserID, FaceID: face, Owner: r.owner, Score: score,
			EnrolledAt: time.UnixMicro(r.enrolledAt).UTC(), ExpiresAt: ports.TimeOf(r.expiresAt),
		}, r.generation}
		if have, ok := k.users[at.UserID]; !ok || c.supersedes(have) {
			k.users[at.UserID] = c
		}
	}
}

func (c candidate) supersedes(o candidate) bool {
	return cmp.Or(
		cmp.Compare(c.generation, o.generation),
		cmp.Compare(c.match.Score, o.match.Score),
		strings.Compare(o.match.FaceID, c.match.FaceID),
	) > 0
}

// complete reports whether no face that scores less than all that were added,
// by Milvus' reckoning, can change the result.
func (k *ranking) complete() bool {
	// The rounding error of a float32 sum of n products is less than n*2^-24
	// times the sum of their absolute values (Higham, "Accuracy and Stability
	// of Numerical Algorithms", 3.1), which for unit vectors is at most 1. Both
	// the score of a face that was returned and of one that was not may be off.
	slack := 2 * float64(len(k.query.Vector)) / (1 << 24)
	if k.lowest+slack < k.query.MinScore {
		return true
	}
	best := k.best()
	return len(best) == k.query.K && best[len(best)-1].Score > k.lowest+slack
}

// best returns the matches.
func (k *ranking) best() []ports.Match {
	matches := make([]ports.Match, 0, len(k.users))
	for _, c := range k.users {
		if c.match.Score >= k.query.MinScore {
			matches = append(matches, c.match)
		}
	}
	slices.SortFunc(matches, func(a, b ports.Match) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.UserID, b.UserID))
	})
	return matches[:min(k.query.K, len(matches))]
}

// trim forgets the users who can no longer be among the best. It may be called when
// all faces of each of them were added.
func (k *ranking) trim() {
	if len(k.users) <= 4*k.query.K {
		return
	}
	kept := make(map[string]candidate, k.query.K)
	for _, m := range k.best() {
		kept[m.UserID] = k.users[m.UserID]
	}
	k.users = kept
}

// cosine is the product of two unit vectors, which rounding must not carry
// outside of -1 to 1.
func cosine(a, b []float32) float64 {
	var sum float64
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return max(-1, min(1, sum))
}
