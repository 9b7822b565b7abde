package extraction

import (
	"context"

	"imago/core/quality"
	"imago/ports"
)

// Explanation is what was seen of the picture that a template was made of.
type Explanation struct {
	// Box is that of the face that was used, in pixels of the upright original.
	Box ports.Box
	// Faces is how many faces there were.
	Faces int
	// Turn is by how many degrees clockwise the picture was turned for the face to be
	// upright; see Detection.
	Turn int
	// Reasons are those for which an enrolment of the picture would be refused.
	Reasons []string
}

// Explain is Probe that also returns what was seen, measured by a gate.
//
// Errors: those of Probe.
func (x *Extractor) Explain(ctx context.Context, picture []byte, gate quality.Gate) (template []float32, seen Explanation, err error) {
	one, err := x.extractOne(ctx, picture, explaining(gate))
	return one.Vector, one.Explanation, err
}

// explaining returns what accepts every face and tells a gate's reasons against it.
func explaining(gate quality.Gate) acceptFunc {
	return func(s quality.Sample, seen *Explanation) error {
		seen.Reasons = gate.Reasons(s)
		return nil
	}
}

// Examine is Probe that also returns the reasons for which Enrol would refuse the
// picture, if there are any.
//
// Errors: those of Probe.
func (x *Extractor) Examine(ctx context.Context, picture []byte, gate quality.Gate) (template []float32, reasons []string, err error) {
	template, seen, err := x.Explain(ctx, picture, gate)
	return template, seen.Reasons, err
}
