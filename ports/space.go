package ports

import (
	"fmt"
	"strings"
)

// Space identifies an embedding space: vectors may be compared if and only if
// they were made by the same network, fed the same way. A store is pinned to
// one space for life.
type Space struct {
	// Model is the name people know the network by. It does not take part in
	// comparison.
	Model string
	// Digest is the SHA-256 of the network file, in lower-case hex.
	Digest string
	// Preprocessing describes exactly how chips become network input.
	Preprocessing string
	// Dimension is the length of a vector.
	Dimension int
}

// ID returns the text by which two spaces are compared and under which a store
// records its space. It contains no control characters.
func (s Space) ID() string {
	return fmt.Sprintf("sha256:%s %s %dd", s.Digest, s.Preprocessing, s.Dimension)
}

// String names the space for people: the model's name and the ID.
func (s Space) String() string { return fmt.Sprintf("%s (%s)", s.Model, s.ID()) }

// Mismatch returns the ErrSpaceMismatch of a store that was filled in another space than
// this one. The holder is what holds the vectors, stored the String of their space, and
// afresh what to set for an empty store.
func (s Space) Mismatch(holder, stored, afresh string) error {
	model := "the model that it was filled with"
	if name, _, found := strings.Cut(stored, " ("); found {
		model = name
	}
	return fmt.Errorf("%w: %s holds vectors of %s, and imago is configured for %s; "+
		"to go on with it, set models.embedder to %s and models.detector to the detector of then; "+
		"to change the model, %s and enrol again",
		ErrSpaceMismatch, holder, stored, s, model, afresh)
}
