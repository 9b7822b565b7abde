package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imago/ports"
)

// Verify reads the collections of two stores and returns their sums, which are
// the same on both sides. Otherwise the error says for each collection what
// differs and what to do; the sums are then those of the source.
func Verify(ctx context.Context, from, to ports.VectorStore, collections []string, o Options) ([]Sum, error) {
	total, err := count(ctx, from, collections, o.Retry)
	if err != nil {
		return nil, err
	}
	var sums []Sum
	var unequal []error
	done := 0
	for _, name := range collections {
		d := discrepancy{source: newSummer(name), target: newSummer(name)}
		for p, err := range lockstep(stored(ctx, from, name, o.Retry), stored(ctx, to, name, o.Retry)) {
			if err != nil {
				return sums, fmt.Errorf("collection %s: %w", name, err)
			}
			d.add(p)
			if len(p.source) > 0 {
				done++
			}
			if o.Progress != nil {
				o.Progress(done, total)
			}
		}
		sums = append(sums, d.source.sum())
		unequal = append(unequal, d.err())
	}
	return sums, errors.Join(unequal...)
}

// discrepancy is how two sides of a collection differ, in faces.
type discrepancy struct {
	source, target          *summer
	missing, differs, extra int
}

func (d *discrepancy) add(p pair) {
	if len(p.source) > 0 {
		d.source.add(p.source)
	}
	if len(p.target) > 0 {
		d.target.add(p.target)
	}
	found := compare(p)
	d.missing += len(found.missing)
	d.differs += len(found.differs)
	d.extra += len(found.extra)
}

// err returns nil where both sides are the same.
func (d *discrepancy) err() error {
	source, target := d.source.sum(), d.target.sum()
	if source == target {
		return nil
	}
	var advice []string
	say := func(n int, text string) {
		if n > 0 {
			advice = append(advice, fmt.Sprintf(text, n))
		}
	}
	say(d.missing, "%d faces are missing in the target: run it again while nothing writes to either store")
	say(d.differs, "%d faces differ: unenrol their users where they are wrong, then run it again")
	say(d.extra, "%d faces are in the target only: unenrol their users there, or use an empty target")
	return fmt.Errorf("collection %s is not the same on both sides (source: users %d, faces %d; target: users %d, faces %d): %s",
		source.Collection, source.Users, source.Faces, target.Users, target.Faces, strings.Join(advice, "; "))
}
