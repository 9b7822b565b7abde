package contract

import (
	"context"
	"math"
	"slices"
	"strings"

	"imago/ports"
)

func brokenAnswers() []brokenStore {
	return []brokenStore{
		altered("finds somebody in an empty store", "SearchEmptyStore", func(_ ports.Query, found []ports.Match) []ports.Match {
			return append(found, ports.Match{UserID: "ghost"})
		}),
		asked("searches every collection", "SearchUnknownCollection", func(q *ports.Query) {
			q.Collection = people
		}),
		breaks("refuses k beyond the number of users", "SearchMoreThanThere", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				if q.K > d.kept.count(q.Collection) {
					return nil, ports.ErrInvalid
				}
				return d.reference.Search(ctx, q)
			}
		}),
		altered("gives one match too few", "SearchNearest", func(q ports.Query, found []ports.Match) []ports.Match {
			return found[:min(len(found), q.K-1)]
		}),
		asked("gives one match too many", "SearchNearest", func(q *ports.Query) {
			q.K = min(1000, q.K+1)
		}),
		altered("sorts worst first", "SearchOrder", func(_ ports.Query, found []ports.Match) []ports.Match {
			slices.Reverse(found)
			return found
		}),
		altered("sorts by user ID", "SearchOrder", func(_ ports.Query, found []ports.Match) []ports.Match {
			slices.SortFunc(found, func(a, b ports.Match) int { return strings.Compare(a.UserID, b.UserID) })
			return found
		}),
		altered("breaks ties by a collation", "SearchTies", func(_ ports.Query, found []ports.Match) []ports.Match {
			slices.SortStableFunc(found, func(a, b ports.Match) int {
				if a.Score != b.Score {
					return 0
				}
				return strings.Compare(strings.ToLower(a.UserID), strings.ToLower(b.UserID))
			})
			return found
		}),
		altered("reports distances", "SearchScores", func(_ ports.Query, found []ports.Match) []ports.Match {
			for i := range found {
				found[i].Score = 1 - found[i].Score
			}
			return found
		}),
		altered("squeezes scores into 0 to 1", "SearchScores", func(_ ports.Query, found []ports.Match) []ports.Match {
			for i := range found {
				found[i].Score = (found[i].Score + 1) / 2
			}
			return found
		}),
		altered("takes the minimum as exclusive", "SearchMinimumInclusive", func(q ports.Query, found []ports.Match) []ports.Match {
			return slices.DeleteFunc(found, func(m ports.Match) bool { return m.Score <= q.MinScore })
		}),
		asked("ignores the minimum", "SearchMinimumInclusive", func(q *ports.Query) {
			q.MinScore = -1
		}),
		asked("is lenient about the minimum", "SearchMinimumComputed", func(q *ports.Query) {
			q.MinScore = max(-1, q.MinScore-1e-6)
		}),
		asked("is strict about the minimum", "SearchMinimumComputed", func(q *ports.Query) {
			if q.MinScore > -1 && q.MinScore < 1 && q.MinScore != 0 {
				q.MinScore = math.Nextafter(q.MinScore, 2)
			}
		}),
		altered("gives at most 100", "SearchLargestK", func(_ ports.Query, found []ports.Match) []ports.Match {
			return found[:min(100, len(found))]
		}),
		altered("misses one user in fifty", "SearchRealVectors", func(_ ports.Query, found []ports.Match) []ports.Match {
			return slices.DeleteFunc(found, func(m ports.Match) bool { return strings.HasSuffix(m.UserID, "33") })
		}),
	}
}

func brokenRanks() []brokenStore {
	return []brokenStore{
		ranked("cuts ties in order of arrival", "SearchTies", func(q ports.Query, faces []ports.Match) []ports.Match {
			kept := faces[:min(q.K, len(faces))]
			slices.SortFunc(kept, better)
			return kept
		}),
		ranked("lets rounding pass the edge", "SearchScoreRange", func(q ports.Query, faces []ports.Match) []ports.Match {
			for i := range faces {
				faces[i].Score *= 1 + 1e-7
			}
			return perUser(q, faces)
		}),
		ranked("gives a match for each face", "SearchBestFace", func(q ports.Query, faces []ports.Match) []ports.Match {
			slices.SortFunc(faces, better)
			faces = slices.DeleteFunc(faces, func(m ports.Match) bool { return m.Score < q.MinScore })
			return faces[:min(q.K, len(faces))]
		}),
		ranked("gives a user's first face", "SearchBestFace", func(q ports.Query, faces []ports.Match) []ports.Match {
			first := map[string]bool{}
			faces = slices.DeleteFunc(faces, func(m ports.Match) bool {
				again := first[m.UserID]
				first[m.UserID] = true
				return again
			})
			return perUser(q, faces)
		}),
		ranked("drops double users after choosing k", "SearchManyFacesLeaveRoom", func(q ports.Query, faces []ports.Match) []ports.Match {
			slices.SortFunc(faces, better)
			return perUser(q, faces[:min(q.K, len(faces))])
		}),
		ranked("fetches ten times k faces", "SearchManyFacesLeaveRoom", func(q ports.Query, faces []ports.Match) []ports.Match {
			slices.SortFunc(faces, better)
			return perUser(q, faces[:min(10*q.K, len(faces))])
		}),
		ranked("misses one face in fifty", "SearchExactAtRandom", func(q ports.Query, faces []ports.Match) []ports.Match {
			n := 0
			return perUser(q, slices.DeleteFunc(faces, func(ports.Match) bool { n++; return n%50 == 49 }))
		}),
	}
}

// altered damages the answer of a search.
func altered(name, caught string, alter func(q ports.Query, found []ports.Match) []ports.Match) brokenStore {
	return breaks(name, caught, func(d *damaged) {
		d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
			found, err := d.reference.Search(ctx, q)
			if err != nil {
				return nil, err
			}
			return alter(q, found), nil
		}
	})
}

// asked damages the question.
func asked(name, caught string, ask func(q *ports.Query)) brokenStore {
	return breaks(name, caught, func(d *damaged) {
		d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
			ask(&q)
			return d.reference.Search(ctx, q)
		}
	})
}

// ranked makes an answer of its own from the scores of all faces, given in
// order of arrival.
func ranked(name, caught string, choose func(q ports.Query, faces []ports.Match) []ports.Match) brokenStore {
	return breaks(name, caught, func(d *damaged) {
		d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
			if _, err := d.reference.Search(ctx, q); err != nil {
				return nil, err
			}
			return choose(q, d.faces(q)), nil
		}
	})
}

// faces scores every face of a collection, in order of arrival.
func (d *damaged) faces(q ports.Query) []ports.Match {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []ports.Match
	for _, r := range d.kept.records {
		if r.Collection == q.Collection {
			all = append(all, ports.Match{
				UserID: r.UserID, FaceID: r.FaceID, Owner: r.Owner, Score: cosine(r.Vector, q.Vector),
			})
		}
	}
	return all
}

// perUser turns scored faces into the answer of a search.
func perUser(q ports.Query, faces []ports.Match) []ports.Match {
	slices.SortStableFunc(faces, better)
	seen := map[string]bool{}
	var found []ports.Match
	for _, m := range faces {
		if !seen[m.UserID] && m.Score >= q.MinScore && len(found) < q.K {
			found = append(found, m)
		}
		seen[m.UserID] = true
	}
	return found
}

func better(a, b ports.Match) int {
	switch {
	case a.Score > b.Score:
		return -1
	case a.Score < b.Score:
		return 1
	}
	return strings.Compare(a.UserID, b.UserID)
}
