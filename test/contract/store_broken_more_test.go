package contract

import (
	"context"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"imago/ports"
)

func brokenSearches() []brokenStore {
	// altered damages the answer of a search.
	altered := func(name, caught string, alter func(q ports.Query, found []ports.Match) []ports.Match) brokenStore {
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
	// ranked makes an answer of its own from all faces, best first.
	ranked := func(name, caught string, choose func(q ports.Query, faces []ports.Match) []ports.Match) brokenStore {
		return breaks(name, caught, func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				if _, err := d.reference.Search(ctx, q); err != nil {
					return nil, err
				}
				return choose(q, d.faces(q)), nil
			}
		})
	}
	return []brokenStore{
		altered("finds somebody in an empty store", "SearchEmptyStore", func(_ ports.Query, found []ports.Match) []ports.Match {
			return append(found, ports.Match{UserID: "ghost"})
		}),
		breaks("searches every collection", "SearchUnknownCollection", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				q.Collection = people
				return d.reference.Search(ctx, q)
			}
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
		breaks("gives one match too many", "SearchNearest", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				q.K = min(1000, q.K+1)
				return d.reference.Search(ctx, q)
			}
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
		ranked("cuts ties in order of arrival", "SearchTies", func(q ports.Query, faces []ports.Match) []ports.Match {
			kept := faces[:min(q.K, len(faces))]
			slices.SortFunc(kept, better)
			return kept
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
		ranked("lets rounding pass the edge", "SearchScoreRange", func(q ports.Query, faces []ports.Match) []ports.Match {
			for i := range faces {
				faces[i].Score *= 1 + 1e-7
			}
			return perUser(q, faces)
		}),
		altered("takes the minimum as exclusive", "SearchMinimumInclusive", func(q ports.Query, found []ports.Match) []ports.Match {
			return slices.DeleteFunc(found, func(m ports.Match) bool { return m.Score <= q.MinScore })
		}),
		breaks("ignores the minimum", "SearchMinimumInclusive", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				q.MinScore = max(-1, min(-1, q.MinScore))
				return d.reference.Search(ctx, q)
			}
		}),
		breaks("is lenient about the minimum", "SearchMinimumComputed", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				q.MinScore = max(-1, q.MinScore-1e-6)
				return d.reference.Search(ctx, q)
			}
		}),
		breaks("is strict about the minimum", "SearchMinimumComputed", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				if q.MinScore > -1 && q.MinScore < 1 && q.MinScore != 0 {
					q.MinScore = math.Nextafter(q.MinScore, 2)
				}
				return d.reference.Search(ctx, q)
			}
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
		altered("gives at most 100", "SearchLargestK", func(_ ports.Query, found []ports.Match) []ports.Match {
			return found[:min(100, len(found))]
		}),
		ranked("misses one face in fifty", "SearchExactAtRandom", func(q ports.Query, faces []ports.Match) []ports.Match {
			n := 0
			return perUser(q, slices.DeleteFunc(faces, func(ports.Match) bool { n++; return n%50 == 49 }))
		}),
		altered("misses one user in fifty", "SearchRealVectors", func(_ ports.Query, found []ports.Match) []ports.Match {
			return slices.DeleteFunc(found, func(m ports.Match) bool { return strings.HasSuffix(m.UserID, "33") })
		}),
	}
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

func brokenScans() []brokenStore {
	// from makes a scan of records that were collected beforehand.
	from := func(name, caught string, list func(all []ports.Record, from string) []ports.Record) brokenStore {
		return breaks(name, caught, func(d *damaged) {
			d.scan = func(ctx context.Context, collection, start string) iter.Seq2[ports.Record, error] {
				all, err := collect(d.reference.Scan(ctx, collection, ""))
				return replay(list(all, start), err)
			}
		})
	}
	onward := func(all []ports.Record, from string) []ports.Record {
		return slices.DeleteFunc(all, func(r ports.Record) bool { return r.UserID < from })
	}
	return []brokenStore{
		from("scans in order of arrival of faces", "ScanOrder", func(all []ports.Record, from string) []ports.Record {
			slices.SortStableFunc(all, func(a, b ports.Record) int { return strings.Compare(b.FaceID, a.FaceID) })
			return onward(all, from)
		}),
		from("scans by a collation", "ScanOrder", func(all []ports.Record, from string) []ports.Record {
			slices.SortStableFunc(all, func(a, b ports.Record) int {
				return strings.Compare(strings.ToLower(a.UserID), strings.ToLower(b.UserID))
			})
			return onward(all, from)
		}),
		from("starts behind the given user", "ScanFrom", func(all []ports.Record, from string) []ports.Record {
			return slices.DeleteFunc(all, func(r ports.Record) bool { return r.UserID <= from })
		}),
		from("ignores where to start", "ScanFrom", func(all []ports.Record, _ string) []ports.Record { return all }),
		breaks("goes on after a break", "ScanBreak", func(d *damaged) {
			d.scan = func(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					for r, err := range d.reference.Scan(ctx, collection, from) {
						yield(r, err)
					}
				}
			}
		}),
		breaks("holds its lock after a break", "ScanBreak", func(d *damaged) {
			d.scan = func(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					for r, err := range d.reference.Scan(ctx, collection, from) {
						if !yield(r, err) {
							d.mu.Lock()
							return
						}
					}
				}
			}
		}),
		breaks("holds its lock while it yields", "ScanDuringWrites", func(d *damaged) {
			d.scan = func(_ context.Context, collection, from string) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					d.mu.Lock()
					defer d.mu.Unlock()
					replay(d.kept.scan(collection, from), nil)(yield)
				}
			}
		}),
		breaks("pages by offset", "ScanDuringWrites", func(d *damaged) {
			d.scan = func(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					for offset := 0; ; offset += 100 {
						all, err := collect(d.reference.Scan(ctx, collection, from))
						if offset >= len(all) {
							return
						}
						for _, r := range all[offset:min(offset+100, len(all))] {
							if !yield(r, err) {
								return
							}
						}
					}
				}
			}
		}),
		from("stops at a thousand", "ScanMany", func(all []ports.Record, from string) []ports.Record {
			all = onward(all, from)
			return all[:min(1000, len(all))]
		}),
		breaks("cuts a user's faces at the edge of a page", "ScanMany", func(d *damaged) {
			d.scan = func(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error] {
				all, err := collect(d.reference.Scan(ctx, collection, from))
				for edge := 100; edge < len(all); edge += 100 {
					all = slices.DeleteFunc(all, func(r ports.Record) bool {
						return r.UserID == all[edge-1].UserID && r.FaceID > all[edge-1].FaceID
					})
				}
				return replay(all, err)
			}
		}),
		from("ignores a cancellation during a scan", "ScanCancelled", onward),
	}
}

// replay is a scan of what is given.
func replay(records []ports.Record, failure error) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
		if failure != nil {
			yield(ports.Record{}, failure)
		}
	}
}

func brokenInputs() []brokenStore {
	// repaired is a store that mends bad input instead of refusing it.
	repaired := func(name, caught string, repair func(r *ports.Record)) brokenStore {
		return breaks(name, caught, func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				repair(&r)
				return d.reference.Add(ctx, r, mode)
			}
		})
	}
	return []brokenStore{
		breaks("panics on another dimension", "InvalidVectorSearched", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				_ = q.Vector[d.space.Dimension-1]
				return d.reference.Search(ctx, q)
			}
		}),
		repaired("normalises any vector", "InvalidVectorAdded", func(r *ports.Record) {
			if norm := math.Sqrt(cosine(r.Vector, r.Vector)); norm > 0 && !math.IsInf(norm, 0) && !math.IsNaN(norm) {
				r.Vector = slices.Clone(r.Vector)
				for i := range r.Vector {
					r.Vector[i] /= float32(norm)
				}
			}
		}),
		repaired("cuts vectors to length", "InvalidVectorAdded", func(r *ports.Record) {
			r.Vector = r.Vector[:min(2, len(r.Vector))]
		}),
		breaks("removes a user before it looks at the vector", "InvalidVectorAdded", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode == ports.Replacement && d.reference.Remove(ctx, r.Collection, r.UserID) == nil {
					mode = ports.First
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("wants exact unit length", "NearUnitVectors", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if cosine(r.Vector, r.Vector) != 1 {
					return ports.ErrInvalid
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		repaired("accepts invalid UTF-8", "InvalidUserID", func(r *ports.Record) {
			r.UserID = strings.ToValidUTF8(r.UserID, "?")
		}),
		repaired("cuts long IDs", "InvalidUserID", func(r *ports.Record) {
			r.UserID = r.UserID[:min(256, len(r.UserID))]
		}),
		repaired("invents face IDs", "InvalidFaceID", func(r *ports.Record) {
			if r.FaceID == "" {
				r.FaceID = "generated"
			}
		}),
		repaired("lowers the case of collections", "InvalidCollection", func(r *ports.Record) {
			r.Collection = strings.ToLower(r.Collection)
		}),
		breaks("takes any mode for First", "InvalidMode", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				return d.reference.Add(ctx, r, max(ports.First, mode))
			}
		}),
		breaks("caps k", "InvalidK", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				q.K = min(1000, q.K)
				return d.reference.Search(ctx, q)
			}
		}),
		breaks("takes NaN for no minimum", "InvalidMinimum", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				if math.IsNaN(q.MinScore) {
					q.MinScore = -1
				}
				return d.reference.Search(ctx, q)
			}
		}),
		repaired("trims IDs", "AwkwardUserIDs", func(r *ports.Record) {
			if trimmed := strings.TrimRight(r.UserID, " "); trimmed != "" {
				r.UserID = trimmed
			}
		}),
		repaired("normalises Unicode", "AwkwardUserIDs", func(r *ports.Record) {
			r.UserID = strings.ReplaceAll(r.UserID, "a\u0300", "à")
		}),
		repaired("doubles quotes", "AwkwardUserIDs", func(r *ports.Record) {
			r.UserID = strings.ReplaceAll(r.UserID, "'", "''")[:min(256, len(r.UserID))]
		}),
		repaired("ignores the case of face IDs", "AwkwardFaceIDs", func(r *ports.Record) {
			r.FaceID = strings.ToLower(r.FaceID)
		}),
		repaired("trims owners", "AwkwardOwners", func(r *ports.Record) { r.Owner = strings.TrimSpace(r.Owner) }),
	}
}

func brokenContexts() []brokenStore {
	return []brokenStore{
		breaks("writes after a cancellation", "CancelledWrites", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(context.WithoutCancel(ctx), r, mode); err != nil {
					return err
				}
				return ctx.Err()
			}
		}),
		breaks("removes after a cancellation", "CancelledWrites", func(d *damaged) {
			d.remove = func(ctx context.Context, collection, user string) error {
				return d.reference.Remove(context.WithoutCancel(ctx), collection, user)
			}
		}),
		breaks("searches after a cancellation", "CancelledReads", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				return d.reference.Search(context.WithoutCancel(ctx), q)
			}
		}),
		breaks("scans after a cancellation", "CancelledReads", func(d *damaged) {
			d.scan = func(ctx context.Context, collection, from string) iter.Seq2[ports.Record, error] {
				return d.reference.Scan(context.WithoutCancel(ctx), collection, from)
			}
		}),
		breaks("counts after a cancellation", "CancelledReads", func(d *damaged) {
			d.count = func(ctx context.Context, collection string) (int, error) {
				return d.reference.Count(context.WithoutCancel(ctx), collection)
			}
		}),
		breaks("calls an ended context unavailable", "DeadlinePassed", func(d *damaged) {
			d.get = func(ctx context.Context, collection, user string) ([]ports.Record, error) {
				if ctx.Err() != nil {
					return nil, ports.ErrUnavailable
				}
				return d.reference.Get(ctx, collection, user)
			}
		}),
	}
}

// brokenUnderLoad are right as long as nobody else calls, and one that is wrong
// about a second instance.
func brokenUnderLoad() []brokenStore {
	return []brokenStore{
		breaks("looks before it adds", "ConcurrentFirst", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if _, err := d.reference.Get(ctx, r.Collection, r.UserID); err == nil || mode != ports.First {
					return d.reference.Add(ctx, r, mode)
				}
				time.Sleep(time.Millisecond)
				d.mu.Lock()
				defer d.mu.Unlock()
				d.kept.records = append(d.kept.records, cloned(r))
				return nil
			}
		}),
		breaks("lets the last of two callers win", "ConcurrentFurther", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				d.mu.Lock()
				before := oracle{slices.Clone(d.kept.records)}
				d.mu.Unlock()
				time.Sleep(time.Millisecond)
				err := before.add(r, mode)
				d.mu.Lock()
				defer d.mu.Unlock()
				d.kept = before
				return err
			}
		}),
		breaks("replaces in two steps", "ConcurrentReplacement", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode != ports.Replacement {
					return d.reference.Add(ctx, r, mode)
				}
				if err := d.reference.Remove(ctx, r.Collection, r.UserID); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
				return d.reference.Add(ctx, r, ports.First)
			}
		}),
		breaks("replaces the other way round", "ConcurrentReplacement", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode != ports.Replacement {
					return d.reference.Add(ctx, r, mode)
				}
				if err := d.reference.Add(ctx, r, ports.Further); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
				return d.reference.Add(ctx, r, ports.Replacement)
			}
		}),
		breaks("loses one write in a hundred", "ConcurrentMixture", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if err := d.reference.Add(ctx, r, mode); err != nil || len(r.UserID)%3 > 0 || r.FaceID != "face-5" {
					return err
				}
				return d.reference.Remove(ctx, r.Collection, r.UserID)
			}
		}),
		{"answers from a copy of its own", "SecondSeesWrites", secondWithACopy},
		{"removes from its own copy", "SecondSeesRemovals", secondWithACopy},
		{"is unique by itself only", "ConcurrentFirstOfTwoInstances", secondWithACopy},
	}
}

// secondWithACopy gives the second instance the data of the moment.
func secondWithACopy() StoreHarness {
	h := referenceHarness()
	h.Second = copyOf
	return h
}
