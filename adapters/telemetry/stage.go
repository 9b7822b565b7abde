package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"imago/ports"
)

// stage is the work on one step of a request while it is measured.
type stage struct {
	metrics *Metrics
	name    string
	start   time.Time
	span    trace.Span // nil while tracing is off
}

// begin starts the clock of a stage, and its span where there is tracing.
func (o observer) begin(ctx context.Context, name, spanName string) (context.Context, stage) {
	s := stage{metrics: o.metrics, name: name, start: time.Now()}
	if o.tracing != nil && o.tracing.tracer != nil {
		ctx, s.span = o.tracing.tracer.Start(ctx, spanName)
	}
	return ctx, s
}

// end stops it. What the caller asked for and could not have is no failure of
// the stage.
func (s stage) end(err error) {
	s.metrics.stages.WithLabelValues(s.name).Observe(time.Since(s.start).Seconds())
	if s.span == nil {
		return
	}
	// The error's text stays in the log: it may name a user.
	if kind := failure(err); kind != "" {
		s.span.SetAttributes(attribute.String("error.type", kind))
		s.span.SetStatus(codes.Error, kind)
	}
	s.span.End()
}

// The kinds of failures, as the values of the label kind.
const (
	failUnavailable = "unavailable"
	failTimeout     = "timeout"
	failSpace       = "space_mismatch"
	failOther       = "other"
)

var failures = []string{failUnavailable, failTimeout, failSpace, failOther}

// answers are the errors that say something about the question, not about the
// part that was asked.
var answers = []error{
	ports.ErrInvalid, ports.ErrTooLarge, ports.ErrExists, ports.ErrNotFound, ports.ErrForbidden, ports.ErrOverloaded,
	context.Canceled,
}

// failure returns the kind of an error, or nothing for none and for answers.
func failure(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ports.ErrUnavailable):
		return failUnavailable
	case errors.Is(err, ports.ErrSpaceMismatch):
		return failSpace
	case errors.Is(err, context.DeadlineExceeded):
		return failTimeout
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return ""
		}
	}
	return failOther
}
