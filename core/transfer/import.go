package transfer

import (
	"context"
	"fmt"
	"io"

	"imago/ports"
)

// Contents are the contents of an export.
type Contents struct {
	// Model is the name of the network that made the vectors.
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
// returns its contents. Errors are those of Import.
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
// and then reads the store to prove that it holds them. It takes constant memory.
// Importing again adds nothing.
//
// Errors: around ports.ErrInvalid for a file that is damaged, truncated, of
// another version or not an export, with the number of the line;
// ports.ErrSpaceMismatch, which names both spaces. The lines before a bad one are
// written: Inspect a file first if it can be read twice.
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

// verify compares the sums of a store with those that it should have now.
func (r Report) verify(ctx context.Context, store ports.VectorStore, o Options) error {
	for _, outcome := range r {
		sum, err := checksum(ctx, store, outcome.Collection, o.Retry)
		if err != nil {
			return err
		}
		if sum != outcome.want {
			return fmt.Errorf("collection %s has users %d, faces %d instead of users %d, faces %d: "+
				"another process wrote to the store meanwhile; run it again",
				outcome.Collection, sum.Users, sum.Faces, outcome.want.Users, outcome.want.Faces)
		}
	}
	return nil
}
