package contract

import (
	"context"
	"iter"
	"math"
	"slices"
	"strings"

	"imago/ports"
)

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
				if mode.Kind() == ports.KindReplacement && d.reference.Remove(ctx, ports.WholeUser(r.User()), ports.Everybody()) == nil {
					mode = ports.NewUser()
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
				if mode.Kind() == 0 {
					mode = ports.NewUser()
				}
				return d.reference.Add(ctx, r, mode)
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
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				return d.reference.Remove(context.WithoutCancel(ctx), removal, owners)
			}
		}),
		breaks("searches after a cancellation", "CancelledReads", func(d *damaged) {
			d.search = func(ctx context.Context, q ports.Query) ([]ports.Match, error) {
				return d.reference.Search(context.WithoutCancel(ctx), q)
			}
		}),
		breaks("scans after a cancellation", "CancelledReads", func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				return d.reference.Scan(context.WithoutCancel(ctx), selection)
			}
		}),
		breaks("counts after a cancellation", "CancelledReads", func(d *damaged) {
			d.count = func(ctx context.Context, collection string) (int, error) {
				return d.reference.Count(context.WithoutCancel(ctx), collection)
			}
		}),
		breaks("calls an ended context unavailable", "DeadlinePassed", func(d *damaged) {
			d.get = func(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
				if ctx.Err() != nil {
					return nil, ports.ErrUnavailable
				}
				return d.reference.Get(ctx, user)
			}
		}),
	}
}
