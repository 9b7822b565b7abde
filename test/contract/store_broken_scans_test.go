package contract

import (
	"context"
	"iter"
	"slices"
	"strings"

	"imago/ports"
)

func brokenScans() []brokenStore {
	// from makes a scan of records that were collected beforehand.
	from := func(name, caught string, list func(all []ports.Record, from string) []ports.Record) brokenStore {
		return breaks(name, caught, func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				all, err := collect(d.reference.Scan(ctx, ports.Everything(selection.Collection, "")))
				return replay(list(all, selection.From), err)
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
		breaks("does not know an empty collection", "ScanEmpty", func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				if d.kept.count(selection.Collection) == 0 {
					return replay(nil, ports.ErrNotFound)
				}
				return d.reference.Scan(ctx, selection)
			}
		}),
		from("starts behind the given user", "ScanFrom", func(all []ports.Record, from string) []ports.Record {
			return slices.DeleteFunc(all, func(r ports.Record) bool { return r.UserID <= from })
		}),
		from("ignores where to start", "ScanFrom", func(all []ports.Record, _ string) []ports.Record { return all }),
		breaks("goes on after a break", "ScanBreak", func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					for r, err := range d.reference.Scan(ctx, selection) {
						yield(r, err)
					}
				}
			}
		}),
		breaks("holds its lock after a break", "ScanBreak", func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					for r, err := range d.reference.Scan(ctx, selection) {
						if !yield(r, err) {
							d.mu.Lock()
							return
						}
					}
				}
			}
		}),
		breaks("holds its lock while it yields", "ScanDuringWrites", func(d *damaged) {
			d.scan = func(_ context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					d.mu.Lock()
					defer d.mu.Unlock()
					replay(d.kept.scan(selection.Collection, selection.From), nil)(yield)
				}
			}
		}),
		breaks("pages by offset", "ScanDuringWrites", func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				return func(yield func(ports.Record, error) bool) {
					for offset := 0; ; offset += 100 {
						all, err := collect(d.reference.Scan(ctx, selection))
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
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				all, err := collect(d.reference.Scan(ctx, selection))
				for edge := 100; edge < len(all); edge += 100 {
					all = slices.DeleteFunc(all, func(r ports.Record) bool {
						return r.UserID == all[edge-1].UserID && r.FaceID > all[edge-1].FaceID
					})
				}
				return replay(all, err)
			}
		}),
		breaks("scans whosever users they are", "ScanOfOwner", func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				if name, one := selection.Owners.Only(); !one || name != "" {
					selection.Owners = ports.Everybody()
				}
				return d.reference.Scan(ctx, selection)
			}
		}),
		breaks("takes no owner for everybody", "ScanOfNobody", func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				if name, one := selection.Owners.Only(); one && name == "" {
					selection.Owners = ports.Everybody()
				}
				return d.reference.Scan(ctx, selection)
			}
		}),
		breaks("sends vectors that nobody wants", "ScanWithoutVectors", func(d *damaged) {
			d.scan = func(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
				selection.WithoutVectors = false
				return d.reference.Scan(ctx, selection)
			}
		}),
		from("ignores a cancellation during a scan", "ScanCancelled", onward),
		from("collects everything before it yields", "ScanInConstantMemory", onward),
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
