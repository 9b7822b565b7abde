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

// stage measures one stage of a request.
type stage struct {
	metrics *Metrics
	name    string
	start   time.Time
	span    trace.Span // nil while tracing is off
}

// begin starts the timer of a stage, and a span where tracing is on.
func (o observer) begin(ctx context.Context, name, spanName string) (context.Context, stage) {
	s := stage{metrics: o.metrics, name: name, start: time.Now()}
	if o.tracing != nil && o.tracing.tracer != nil {
		ctx, s.span = o.tracing.tracer.Start(ctx, spanName)
	}
	return ctx, s
}

// end records the duration and ends the span. Errors about the request itself are not
// failures of the stage.
func (s stage) end(err error) {
	s.metrics.stages.WithLabelValues(s.name).Observe(time.Since(s.start).Seconds())
	if s.span == nil {
		return
	}
	// Only the kind: the message may name a user.
	if kind := failureKind(err); kind != "" {
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

var failureKinds = []string{failUnavailable, failTimeout, failSpace, failOther}

// expectedErrors are caused by the request, not by the stage.
var expectedErrors = []error{
	ports.ErrInvalid, ports.ErrTooLarge, ports.ErrExists, ports.ErrNotFound, ports.ErrForbidden, ports.ErrOverloaded,
	context.Canceled,
}

// failureKind returns the kind of an error, empty for nil and for expectedErrors.
func failureKind(err error) string {
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
	for _, expected := range expectedErrors {
		if errors.Is(err, expected) {
			return ""
		}
	}
	return failOther
}
