package contract

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"imago/ports"
)

func brokenChips() []brokenStore {
	return []brokenStore{
		breaks("drops chips", "ChipRoundTrip", func(d *damaged) {
			changed(d, func(r *ports.Record) { r.Chip = nil })
		}),
		breaks("cuts chips off", "ChipRoundTrip", func(d *damaged) {
			changed(d, func(r *ports.Record) { r.Chip = r.Chip[:min(len(r.Chip), ports.MaxChipBytes-1)] })
		}),
		breaks("hands out chips that nobody asked for", "ChipOnlyInScans", func(d *damaged) {
			d.scan = func(ctx context.Context, s ports.Selection) iter.Seq2[ports.Record, error] {
				s.WithChips = true
				return d.reference.Scan(ctx, s)
			}
		}),
		breaks("answers Get with chips", "ChipOnlyInScans", func(d *damaged) {
			d.get = func(ctx context.Context, user ports.UserKey) ([]ports.Record, error) {
				records, err := d.reference.Get(ctx, user)
				for i := range records {
					records[i].Chip = d.keptOf(user)[i].Chip
				}
				return records, err
			}
		}),
		breaks("keeps the chip of what was replaced", "ChipReplaced", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if had := d.keptOf(r.User()); mode.Kind() == ports.KindReplacement && len(had) > 0 && len(r.Chip) == 0 {
					r.Chip = had[0].Chip
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("keeps the chips of who was removed", "ChipRemoved", func(d *damaged) {
			left := keepsChips(d)
			d.remove = func(ctx context.Context, removal ports.Removal, owners ports.Owners) error {
				left.remember(d.keptOf(removal.User()))
				return d.reference.Remove(ctx, removal, owners)
			}
		}),
		breaks("keeps the chips of who has expired", "ChipErased", func(d *damaged) {
			left := keepsChips(d)
			d.expire = func(ctx context.Context, user ports.UserKey, at time.Time) error {
				left.remember(d.keptOf(user))
				return d.reference.Expire(ctx, user, at)
			}
		}),
		breaks("stores the chip before it refuses the face", "ChipRefusedWrite", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				err := d.reference.Add(ctx, r, mode)
				if errors.Is(err, ports.ErrExists) {
					d.setChips(r.User(), r.Chip)
				}
				return err
			}
		}),
		breaks("loses chips when the expiry changes", "ChipKeptByExpiry", func(d *damaged) {
			d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
				if mode.Kind() == ports.KindFurtherFace && !r.ExpiresAt.IsZero() {
					d.setChips(r.User(), nil)
				}
				return d.reference.Add(ctx, r, mode)
			}
		}),
		breaks("loses the chips of a page's last record", "ChipMany", func(d *damaged) {
			d.scan = func(ctx context.Context, s ports.Selection) iter.Seq2[ports.Record, error] {
				n := 0
				return alter(d.reference.Scan(ctx, s), func(r *ports.Record) {
					if n++; n%64 == 0 {
						r.Chip = nil
					}
				})
			}
		}),
		breaks("hands out the chips that it keeps", "ChipCopied", func(d *damaged) {
			d.scan = func(ctx context.Context, s ports.Selection) iter.Seq2[ports.Record, error] {
				return alter(d.reference.Scan(ctx, s), func(r *ports.Record) {
					for _, kept := range d.keptOf(r.User()) {
						if s.WithChips && kept.FaceID == r.FaceID {
							r.Chip = kept.Chip
						}
					}
				})
			}
		}),
		breaks("cuts chips to size", "ChipTooLarge", func(d *damaged) {
			changed(d, func(r *ports.Record) { r.Chip = r.Chip[:min(len(r.Chip), ports.MaxChipBytes)] })
		}),
		{"takes chips without a place for them", "ChipRefused", func() StoreHarness {
			h := referenceHarness()
			h.Chips = false
			return h
		}},
		{"loses chips at the end", "ChipReopened", func() StoreHarness {
			h := referenceHarness()
			reopen := h.Reopen
			h.Reopen = func(tb testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
				data := s.(archived).data()
				for i := range data.kept.records {
					data.kept.records[i].Chip = nil
				}
				return reopen(tb, s, space)
			}
			return h
		}},
		{"keeps chips to one instance", "ChipOfSecond", func() StoreHarness {
			h := referenceHarness()
			h.Second = copyOf
			return h
		}},
	}
}

// leftChips are those of faces that were removed.
type leftChips struct {
	mu    sync.Mutex
	chips map[ports.UserKey]map[string][]byte
}

// keepsChips has faces without a chip get that of an earlier one.
func keepsChips(d *damaged) *leftChips {
	left := &leftChips{chips: map[ports.UserKey]map[string][]byte{}}
	d.add = func(ctx context.Context, r ports.Record, mode ports.Mode) error {
		left.mu.Lock()
		if len(r.Chip) == 0 {
			r.Chip = left.chips[r.User()][r.FaceID]
		}
		left.mu.Unlock()
		return d.reference.Add(ctx, r, mode)
	}
	return left
}

func (l *leftChips) remember(records []ports.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		if l.chips[r.User()] == nil {
			l.chips[r.User()] = map[string][]byte{}
		}
		l.chips[r.User()][r.FaceID] = r.Chip
	}
}

// setChips gives all faces of a user a chip.
func (d *damaged) setChips(user ports.UserKey, chip []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.kept.records {
		if d.kept.records[i].User() == user {
			d.kept.records[i].Chip = chip
		}
	}
}

// alter changes the records of a scan.
func alter(seq iter.Seq2[ports.Record, error], change func(r *ports.Record)) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		for r, err := range seq {
			change(&r)
			if !yield(r, err) {
				return
			}
		}
	}
}
