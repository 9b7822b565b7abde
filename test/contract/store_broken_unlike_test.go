package contract

import (
	"context"
	"errors"
	"math"
	"time"

	"imago/ports"
)

func brokenUnlikes() []brokenStore {
	// checked is an Add that checks the condition in a step before.
	checked := func(d *damaged, check func(ctx context.Context, r ports.Record, mode ports.Mode) error) {
		d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
			if err := d.reference.Add(ctx, r, mode); !errors.Is(err, ports.ErrResembles) {
				return err
			}
			if err := check(ctx, r, mode); err != nil {
				return err
			}
			return d.reference.Add(ctx, r, liked(mode))
		}
	}
	return []brokenStore{
		breaks("takes everybody", "UnlikeNewUser", func(d *damaged) {
			checked(d, func(context.Context, ports.Record, ports.Mode) error { return nil })
		}),
		breaks("does not say whom", "UnlikeNewUser", func(d *damaged) {
			checked(d, func(context.Context, ports.Record, ports.Mode) error { return ports.ErrResembles })
		}),
		breaks("asks new users only", "UnlikeExisting", func(d *damaged) {
			checked(d, func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() != ports.KindNewUser {
					return nil
				}
				return d.reference.Add(ctx, r, mode)
			})
		}),
		breaks("looks at the two nearest faces", "UnlikeBestOfMany", func(d *damaged) {
			checked(d, func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				faces := 0
				for _, f := range d.keptOf(r.User()) {
					if cosine(f.Vector, r.Vector) > 0.99 {
						faces++
					}
				}
				if faces > 1 {
					return nil
				}
				return d.reference.Add(ctx, r, mode)
			})
		}),
		breaks("remembers who has expired", "UnlikeExpired", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				d.mu.Lock()
				resembles := d.kept.resembles(r, mode)
				d.mu.Unlock()
				if resembles {
					return &ports.Resemblance{}
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("takes no score for no condition", "InvalidUnlike", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if score, set := mode.UnlikeScore(); set && !(math.Abs(score) <= 1) {
					mode = liked(mode)
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("looks whom a face resembles before it adds it", "ConcurrentUnlike", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				score, set := mode.UnlikeScore()
				if !set {
					return d.reference.Add(ctx, r, mode)
				}
				found, err := d.reference.Search(ctx, ports.Query{Collection: r.Collection, Vector: r.Vector, K: 1, MinScore: score})
				if err != nil {
					return err
				}
				if len(found) > 0 {
					return &ports.Resemblance{Match: found[0]}
				}
				time.Sleep(10 * time.Millisecond)
				return d.reference.Add(ctx, r, liked(mode))
			}
		}),
	}
}

// liked returns a mode without its condition on whom the face resembles.
func liked(mode ports.Mode) ports.Mode {
	switch mode.Kind() {
	case ports.KindFurtherFace:
		return ports.FurtherFace(mode.Owners())
	case ports.KindReplacement:
		return ports.Replacement(mode.Owners())
	}
	return ports.NewUser()
}
