package gallery

import (
	"context"

	"imago/core/extraction"
	"imago/ports"
)

// Verification asks whether the face on a picture is that of one user.
type Verification struct {
	Collection, UserID string
	// Picture is a JPEG or PNG file. It is only read and not retained.
	Picture []byte
	// Threshold is the smallest similarity of a match, inclusive, in percent (0 to 100).
	Threshold float64
	// Explain asks for Verified.Explanation.
	Explain bool
}

// Verified is the answer to a Verification.
type Verified struct {
	// Match says that the similarity is at least the threshold.
	Match bool
	// Similarity is that of the user's most similar face, in percent. It is nil where it
	// is below the least threshold that the client may search with.
	Similarity *float64
	// Explanation is what was seen of the picture, nil where that was not asked for.
	Explanation *extraction.Explanation
}

// Verify compares the largest face of a picture with the faces of one user. The
// collection is not searched.
//
// Errors: those of Search; ErrNotFound when the user is not there, or when another client
// enrolled the user in a shared collection. A client that may not read the collection
// learns that a user is not there only with a picture that can be compared.
func (g *Gallery) Verify(ctx context.Context, client ports.Client, v Verification) (Verified, error) {
	if err := CheckThreshold(v.Threshold); err != nil {
		return Verified{}, err
	}
	if err := checkLeastThreshold(client, v.Threshold); err != nil {
		return Verified{}, err
	}
	mayRead := client.May(ports.OpRead, v.Collection)
	var faces []ports.Record
	var err error
	if mayRead {
		faces, err = g.records(ctx, client, v.Collection, v.UserID)
	} else {
		err = g.checkUser(v.Collection, v.UserID)
	}
	if err != nil {
		return Verified{}, err
	}
	vector, seen, err := g.extract(ctx, v.Picture, v.Explain)
	if err != nil {
		return Verified{}, err
	}
	if !mayRead {
		if faces, err = g.records(ctx, client, v.Collection, v.UserID); err != nil {
			return Verified{}, err
		}
	}
	best := -1.0
	for _, r := range faces {
		best = max(best, cosine(vector, r.Vector))
	}
	similarity := g.options.Curve.Percent(best)
	verified := Verified{Match: similarity >= v.Threshold, Explanation: seen}
	if similarity >= client.MinThreshold {
		verified.Similarity = &similarity
	}
	return verified, nil
}

// cosine returns the cosine similarity of two unit vectors of one space.
func cosine(a, b []float32) float64 {
	var sum float64
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return max(-1, min(sum, 1))
}
