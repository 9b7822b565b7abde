package reembed

import (
	"context"
	"fmt"

	"imago/core/facechip"
	"imago/ports"
)

// ReasonNoChip is why a face without a chip is left out.
const ReasonNoChip = "the face has no chip: it was enrolled without keep_chips"

// Check returns an error if faces cannot, or need not, be carried from one embedding space
// into the other.
func Check(from, to ports.Space) error {
	switch {
	case from.ID() == to.ID():
		return fmt.Errorf("both sides have the embedder %s, there is nothing to convert: imago migrate copies the gallery", from.Model)
	case from.Alignment() != to.Alignment():
		return fmt.Errorf("%w: the chips are aligned by %s for %s, and %s needs %s: enrol again from the pictures",
			ports.ErrSpaceMismatch, from.Alignment(), from.Model, to.Model, to.Alignment())
	}
	return nil
}

// Options are the settings of a Converter.
type Options struct {
	// From opens the chips of the source.
	From *facechip.Cipher
	// To seals chips for the target; nil where it keeps none.
	To *facechip.Cipher
	// Keeps reports whether a collection of the target keeps chips. It is not called
	// where To is nil.
	Keeps func(collection string) bool
	// Workers is how many faces are embedded at once, at least 1.
	Workers int
}

// Converter makes faces of one embedding space those of another. It is safe for concurrent
// use.
type Converter struct {
	embedder ports.Embedder
	options  Options
	workers  chan struct{}
}

// New returns a converter into the space of an embedder.
func New(embedder ports.Embedder, o Options) *Converter {
	return &Converter{embedder: embedder, options: o, workers: make(chan struct{}, o.Workers)}
}

// Convert returns a face, which comes with its chip, as it is in the target's space; all but
// vector and chip stay. If the face has no chip that opens, the reason says so. The errors
// are those of the embedder, and that of a context that ends.
func (c *Converter) Convert(ctx context.Context, r ports.Record) (converted ports.Record, reason string, err error) {
	if len(r.Chip) == 0 {
		return r, ReasonNoChip, nil
	}
	select {
	case c.workers <- struct{}{}:
		defer func() { <-c.workers }()
	case <-ctx.Done():
		return r, "", ctx.Err()
	}
	chip, err := c.options.From.Open(r.Chip, r.User(), r.FaceID)
	if err != nil {
		return r, err.Error(), nil
	}
	vectors, err := c.embedder.Embed(ctx, []*ports.Chip{chip})
	if err != nil {
		return r, "", err
	}
	r.Vector, r.Chip = vectors[0], nil
	if c.options.To != nil && c.options.Keeps(r.Collection) {
		r.Chip, err = c.options.To.Seal(chip, r.User(), r.FaceID)
	}
	return r, "", err
}
