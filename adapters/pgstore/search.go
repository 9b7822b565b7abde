package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"imago/ports"
)

// The score of a face is computed by the database alone, so that what a minimum
// is compared with is what the match reports. pgvector's operator <#> is the
// negative inner product; that of two unit vectors may exceed 1 by a rounding
// error. No index matches this expression: an order by it is always exact.
const score = `LEAST(GREATEST(0 - (vector OPERATOR({pgvector}.<#>) $2), -1), 1)`

// searchFaces returns the best faces of a collection, of which one user may
// have several.
const searchFaces = `
	SELECT user_id, face_id, owner, enrolled_at, expires_at, ` + score + ` AS score FROM {schema}.faces
	WHERE collection = $1 AND ` + score + ` >= $3
	ORDER BY score DESC, user_id, face_id LIMIT $4`

// searchUsers returns the best users with the best face of each. It sorts all
// faces above the minimum, where searchFaces keeps the best few: of 100,000
// faces of 128 numbers without a minimum it takes 160 ms instead of 40.
const searchUsers = `
	SELECT user_id, face_id, owner, enrolled_at, expires_at, score FROM (
		SELECT DISTINCT ON (user_id) user_id, face_id, owner, enrolled_at, expires_at, ` + score + ` AS score FROM {schema}.faces
		WHERE collection = $1 AND ` + score + ` >= $3
		ORDER BY user_id, score DESC, face_id) AS best
	ORDER BY score DESC, user_id LIMIT $4`

// rowsFor returns how many faces to fetch for k users, most of whom have one or
// two.
func rowsFor(k int) int { return 2*k + 32 }

// Search implements ports.StoreDriver. An exact search has the database compare
// every face of the collection.
func (d *Driver) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	if d.hnsw.usable() {
		if matches, complete, err := d.searchHNSW(ctx, q); complete || err != nil {
			return matches, mapError(err)
		}
	}
	matches, err := d.searchExact(ctx, q)
	return matches, mapError(err)
}

// searchExact first asks for faces, and for users only if too few users turn
// out to have the best faces. Each statement is the whole answer at its moment.
func (d *Driver) searchExact(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	limit := rowsFor(q.K)
	faces, err := d.matches(ctx, readSettings, searchFaces, q, q.MinScore, limit)
	if err != nil {
		return nil, err
	}
	if users := bestOfUsers(faces, q.K); len(users) == q.K || len(faces) < limit {
		return users, nil
	}
	return d.matches(ctx, readSettings, searchUsers, q, q.MinScore, q.K)
}

// halfRounding is by how much one face may score better than another that the
// index ranks first, when it holds 16-bit floats: rounding is off by at most 2^-11
// of a number, in the query and in the face, so that the product of two unit
// vectors is off by at most twice as much, and the difference of two products
// by at most four times.
const halfRounding = 4.0 / 2048

// searchHNSW asks the index, orders what it returns by the exact score and
// reports whether that is the answer as far as the index can tell: whatever it
// left out must be further away than the last match, or below the minimum.
func (d *Driver) searchHNSW(ctx context.Context, q ports.Query) (matches []ports.Match, complete bool, err error) {
	limit := rowsFor(q.K)
	faces, err := d.matches(ctx, d.hnsw.settings, d.hnsw.search, q, limit)
	if err != nil || len(faces) < limit {
		return nil, false, err
	}
	// No minimum is part of the query: the index would visit thousands of
	// faces in search of one above it.
	cutoff := faces[len(faces)-1].Score + halfRounding
	above := 0
	for above < len(faces) && faces[above].Score >= q.MinScore {
		above++
	}
	matches = bestOfUsers(faces[:above], q.K)
	full := len(matches) == q.K && matches[q.K-1].Score > cutoff
	return matches, full || q.MinScore > cutoff, nil
}

// bestOfUsers returns the first face of each user, at most k, from faces that
// are ordered best first.
func bestOfUsers(faces []ports.Match, k int) []ports.Match {
	users := make([]ports.Match, 0, min(k, len(faces)))
	seen := make(map[string]bool, cap(users))
	for _, f := range faces {
		if len(users) == k {
			break
		}
		if !seen[f.UserID] {
			seen[f.UserID] = true
			users = append(users, f)
		}
	}
	return users
}

// matches runs one of the queries above, with settings; its $1 and $2 are the collection
// and the vector.
func (d *Driver) matches(ctx context.Context, settings, query string, q ports.Query, args ...any) ([]ports.Match, error) {
	args = append([]any{q.Collection, pgvector.NewVector(q.Vector)}, args...)
	return collect(ctx, d, settings, matchOf, query, args...)
}

func matchOf(row pgx.CollectableRow) (m ports.Match, err error) {
	var expiresAt *time.Time
	err = row.Scan(&m.UserID, &m.FaceID, &m.Owner, &m.EnrolledAt, &expiresAt, &m.Score)
	m.EnrolledAt, m.ExpiresAt = m.EnrolledAt.UTC(), timeOf(expiresAt)
	return m, err
}

// hnswQuery returns the query of the HNSW index. Its inner part is in the
// form that lets the database use the index, whose order is approximate. The
// iterative scan goes on past faces of other collections, in whatever order
// they turn up (relaxed_order): the outer part sorts anyway, and a scan in
// strict order drops faces that turn up late.
func hnswQuery(order string) string {
	return fmt.Sprintf(`
		WITH near AS MATERIALIZED (
			SELECT user_id, face_id, owner, enrolled_at, expires_at, vector FROM {schema}.faces WHERE collection = $1
			ORDER BY %s LIMIT $3)
		SELECT user_id, face_id, owner, enrolled_at, expires_at, %s AS score FROM near ORDER BY score DESC, user_id, face_id`, order, score)
}
