package httpapi

import (
	"context"
	"net/http"

	"imago/core/gallery"
	"imago/ports"
)

// verify answers comparisons of a face with one user.
type verify struct {
	gallery  Gallery
	verified func(collection string, match bool)
}

// serve serves POST /users/{userId}/verify and POST /users/{list}/{userId}/verify.
func (v verify) serve(ctx context.Context, x *exchange, r *http.Request, c caller, q request) error {
	verified, err := v.gallery.Verify(ctx, c.Client, gallery.Verification{
		Collection: c.collection.Name, UserID: r.PathValue("userId"), Picture: q.picture, Threshold: q.threshold, Explain: q.explain,
	})
	if err != nil {
		return err
	}
	if v.verified != nil {
		v.verified(c.collection.Name, verified.Match)
	}
	x.entry.Threshold = q.threshold
	x.entry.Verification = &ports.AuditVerification{Match: verified.Match, Similarity: verified.Similarity}
	out := verification{Match: verified.Match, Similarity: verified.Similarity, Threshold: q.threshold}
	if verified.Explanation != nil {
		seen := newExplanation(*verified.Explanation)
		out.Explanation = &seen
	}
	return x.answer(out)
}

// verification is the answer to it.
type verification struct {
	Match bool `json:"match"`
	// Similarity is absent where it is below the least threshold of the key.
	Similarity  *float64     `json:"similarity,omitempty"`
	Threshold   float64      `json:"threshold"`
	Explanation *explanation `json:"explanation,omitempty"`
}
