package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"imago/ports"
)

// Verify compares the collections of two stores and returns the sums of the source. If
// a collection is not the same on both sides, the error says what differs and what to
// do, for each such collection. Where Options.Convert is set, faces that it cannot convert
// may be missing in the target, and vectors are neither compared nor part of the sums.
func Verify(ctx context.Context, from, to ports.VectorStore, collections []string, o Options) ([]Sum, error) {
	total, err := count(ctx, from, collections, o.Retry)
	if err != nil {
		return nil, err
	}
	var sums []Sum
	var unequal []error
	done := 0
	for _, name := range collections {
		d := discrepancy{o: o, source: newSumBuilder(name), target: newSumBuilder(name)}
		for p, err := range mergeUsers(storedUsers(ctx, from, o.source(name), o.Retry), storedUsers(ctx, to, ports.Everything(name, ""), o.Retry)) {
			if len(p.source) > 0 {
				done++
				p.source, err = o.expected(ctx, p)
			}
			if err != nil {
				return sums, fmt.Errorf("collection %s: %w", name, err)
			}
			d.add(p)
			if o.Progress != nil {
				o.Progress(done, total)
			}
		}
		sums = append(sums, d.source.sum())
		unequal = append(unequal, d.err())
	}
	return sums, errors.Join(unequal...)
}

// expected returns the faces of a user of the source that the target should have: none if
// the user has expired, and none that the target lacks because they cannot be converted.
func (o Options) expected(ctx context.Context, p pair) ([]ports.Record, error) {
	expired := func(faces []ports.Record) bool { return len(faces) > 0 && o.Expired != nil && o.Expired(faces) }
	if expired(p.source) {
		return nil, nil
	}
	if o.Convert == nil {
		return p.source, nil
	}
	left := map[string]bool{}
	for _, r := range o.compare(p).missing {
		_, reason, err := o.Convert(ctx, r)
		if err != nil {
			return nil, err
		}
		left[r.FaceID] = reason != ""
	}
	rest := slices.DeleteFunc(p.source, func(r ports.Record) bool { return left[r.FaceID] })
	if expired(rest) {
		return nil, nil
	}
	return rest, nil
}

// withoutVectors returns a copy of the faces that a sum over two embedding spaces is of.
func withoutVectors(faces []ports.Record) []ports.Record {
	faces = slices.Clone(faces)
	for i := range faces {
		faces[i].Vector = nil
	}
	return faces
}

// discrepancy counts the faces in which two sides of a collection differ.
type discrepancy struct {
	o                       Options
	source, target          *sumBuilder
	missing, differs, extra int
}

func (d *discrepancy) add(p pair) {
	found := d.o.compare(p)
	if d.o.Compared != nil && len(found.same) > 0 {
		source, target := make([]ports.Record, len(found.same)), make([]ports.Record, len(found.same))
		for i, same := range found.same {
			source[i], target[i] = same[0], same[1]
		}
		d.o.Compared(source, target)
	}
	if d.o.Convert != nil {
		p.source, p.target = withoutVectors(p.source), withoutVectors(p.target)
	}
	if len(p.source) > 0 {
		d.source.add(p.source)
	}
	if len(p.target) > 0 {
		d.target.add(p.target)
	}
	d.missing += len(found.missing)
	d.differs += len(found.differs)
	d.extra += len(found.extra)
}

// err returns nil if both sides are the same.
func (d *discrepancy) err() error {
	source, target := d.source.sum(), d.target.sum()
	if source == target {
		return nil
	}
	var advice []string
	advise := func(n int, text string) {
		if n > 0 {
			advice = append(advice, fmt.Sprintf(text, n))
		}
	}
	advise(d.missing, "%d faces are missing in the target: run it again while nothing writes to either store")
	advise(d.differs, "%d faces differ: unenrol their users where they are wrong, then run it again")
	advise(d.extra, "%d faces are in the target only: unenrol their users there, or use an empty target")
	return fmt.Errorf("collection %s differs (source: users %d, faces %d; target: users %d, faces %d): %s",
		source.Collection, source.Users, source.Faces, target.Users, target.Faces, strings.Join(advice, "; "))
}
