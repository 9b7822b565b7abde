package ports

import (
	"fmt"
	"strings"
)

// Space identifies an embedding space: vectors may be compared if and only if
// they were made by the same network, fed the same way. A store is pinned to
// one space for life.
type Space struct {
	// Model is the network's name, for people. It is not compared.
	Model string
	// Digest is the SHA-256 of the network file, in lower-case hex.
	Digest string
	// Preprocessing describes exactly how a chip becomes the network's input.
	Preprocessing string
	// Dimension is the length of a vector.
	Dimension int
}

// ID returns the text by which two spaces are compared and under which a store
// records its space. It contains no control characters.
func (s Space) ID() string {
	return fmt.Sprintf("sha256:%s %s %dd", s.Digest, s.Preprocessing, s.Dimension)
}

// Alignment names how the faces of the space are aligned, as ChipAlignment does.
func (s Space) Alignment() string {
	name, _, _ := strings.Cut(s.Preprocessing, " ")
	return name
}

// String names the space for people: the model's name and the ID.
func (s Space) String() string { return fmt.Sprintf("%s (%s)", s.Model, s.ID()) }

// Mismatch returns the ErrSpaceMismatch of a store that holds vectors of another space.
// The holder names the store, stored is the String of its space, and afresh says how to
// get an empty store.
func (s Space) Mismatch(holder, stored, afresh string) error {
	model := "the model that it was filled with"
	if name, _, found := strings.Cut(stored, " ("); found {
		model = name
	}
	return fmt.Errorf("%w: %s holds vectors of %s, and imago is configured for %s; "+
		"to use it, set models.embedder to %s and models.detector to its former value; "+
		"to change the model, %s and enrol again, or fill it by imago reembed where chips are kept",
		ErrSpaceMismatch, holder, stored, s, model, afresh)
}
