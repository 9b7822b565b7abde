package ports

// Probe is a 1:N search as a client asks for it.
type Probe struct {
	Collection string
	// Picture is the bytes of a JPEG or PNG file.
	Picture []byte
	// Threshold is the smallest similarity wanted, in percent, inclusive.
	Threshold float64
	// Limit is the largest number of candidates wanted.
	Limit int
}

// Candidate is one user that looks like the probe.
type Candidate struct {
	// UserID is empty when it is hidden from this client.
	UserID string
	// Similarity is in percent, 0 to 100.
	Similarity float64
}
