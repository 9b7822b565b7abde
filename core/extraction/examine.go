package extraction

import (
	"context"

	"imago/core/quality"
)

// Examine is Probe that also returns what the gate has against enrolling the
// picture: none, or the reasons that Enrol would refuse it for.
//
// Errors: those of Probe.
func (x *Extractor) Examine(ctx context.Context, picture []byte, gate quality.Gate) (template []float32, reasons []string, err error) {
	template, err = x.extract(ctx, picture, func(s quality.Sample) error {
		reasons = gate.Reasons(s)
		return nil
	})
	return template, reasons, err
}
