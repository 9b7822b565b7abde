package ports

// Assessment says what a threshold means in a collection of a certain size.
type Assessment struct {
	Collection string
	Threshold  float64 // similarity in percent
	Cosine     float64 // the same as cosine similarity
	// Users is the number of users in the collection, with each of whom a
	// search compares.
	Users int
	// Measured is nil where no error rates of the network are known.
	Measured *FalseMatches
	// Model names the network and Basis the pictures that its curve and rates
	// come from. Provisional means that the curve was not fitted to rates.
	Model, Basis string
	Provisional  bool
}

// FalseMatches are the error rates of an Assessment.
type FalseMatches struct {
	// Rate is the part of strangers that reach the threshold.
	Rate Rate
	// Chance is the probability that a search for somebody who is not in the
	// collection finds somebody nevertheless.
	Chance Rate
}

// Rate is a probability as far as it is known.
type Rate struct {
	Value float64 // 0 to 1
	Bound Bound
}

// Bound says how a value relates to the truth.
type Bound string

// The bounds of a Rate. Nothing is known beyond what was measured, but that
// fewer strangers reach a higher threshold.
const (
	Estimated Bound = "estimate" // between two measurements
	AtMost    Bound = "at_most"  // the threshold is above all measurements
	AtLeast   Bound = "at_least" // the threshold is below all measurements
)
