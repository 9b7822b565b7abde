package ports

import "fmt"

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
