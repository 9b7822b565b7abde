package transfer

import (
	"context"
	"fmt"
	"io"

	"imago/ports"
)

// Contents is what an export holds.
type Contents struct {
	// Model is the name of the network whose vectors they are.
	Model string
	Sums  []Sum
}

// Users returns the number of users in all collections.
func (c Contents) Users() int {
	n := 0
	for _, s := range c.Sums {
		n += s.Users
	}
	return n
}

// Inspect reads an export to its end, checks every line as Import does and
// returns what it holds. Errors are those of Import.
func Inspect(ctx context.Context, r io.Reader, space ports.Space) (Contents, error) {
	f, err := newReader(r, space)
	if err != nil {
		return Contents{}, err
	}
	for _, name := range f.header.Collections {
		for _, err := range f.users(name) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return Contents{}, err
			}
		}
	}
	return Contents{f.header.Model, f.sums}, f.check()
}

// Import adds the faces of an export to a store of the given space as Copy does,
// and reads the store again in the end to prove that it holds them. It streams:
// memory does not grow with the file. Importing again adds nothing.
//
// Errors: around ports.ErrInvalid for a file that is damaged, truncated, of
// another version or not an export, with the number of the line;
// ports.ErrSpaceMismatch, which names both spaces. Nothing of a bad line is
// written, but the lines before it have been: Inspect a file first where it can
// be read twice.
func Import(ctx context.Context, r io.Reader, to ports.VectorStore, space ports.Space, o Options) (Report, error) {
	f, err := newReader(r, space)
	if err != nil {
		return nil, err
	}
	var report Report
	done := 0
	for _, name := range f.header.Collections {
		outcome, err := newCopier(to, name, o, done, 0).copy(ctx, f.users(name))
		report, done = append(report, outcome), done+outcome.Users
		if err != nil {
			return report, err
		}
	}
	if err := f.check(); err != nil {
		return report, err
	}
	return report, report.verify(ctx, to, o)
}

// verify compares what a store holds with what it should hold now.
func (r Report) verify(ctx context.Context, store ports.VectorStore, o Options) error {
	for _, outcome := range r {
		sum, err := checksum(ctx, store, outcome.Collection, o.Retry)
		if err != nil {
			return err
		}
		if sum != outcome.union {
			return fmt.Errorf("collection %s does not hold what it should (users %d, faces %d; it should have users %d, faces %d): "+
				"something else has written to the store meanwhile; run it again",
				outcome.Collection, sum.Users, sum.Faces, outcome.union.Users, outcome.union.Faces)
		}
	}
	return nil
}
