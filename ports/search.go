package ports

// Probe is a question to the gallery: whose face is on this picture?
type Probe struct {
	// Collection is the inventory or one of the configured lists.
	Collection string
	// Picture is a JPEG or PNG file. It is only read and not retained.
	Picture []byte
	// Threshold is the smallest similarity wanted, inclusive, in percent (0 to
	// 100).
	Threshold float64
	// Limit is the largest number of users wanted.
	Limit int
}

// Candidate is one user whom a search found.
type Candidate struct {
	// UserID is empty where the asking client may know that the user is in the
	// collection, but not who it is.
	UserID string
	// Similarity is how alike the faces are, in percent (0 to 100).
	Similarity float64
}
