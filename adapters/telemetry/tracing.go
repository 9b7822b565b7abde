package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// scope names the code that makes the spans.
	scope = "imago"
	// flushTimeout bounds the sending of the last spans when imago stops.
	flushTimeout = 3 * time.Second
)

// Tracing makes a span of each request and of each of its stages, and exports
// them by OTLP. The environment variables that OpenTelemetry specifies configure
// it; it is off, and costs nothing, unless they name an endpoint. It is safe for
// concurrent use once it is started.
type Tracing struct {
	version  string
	log      *slog.Logger
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer  // nil while tracing is off
	flush    time.Duration // flushTimeout but in tests
}

// NewTracing returns the tracing of a process that runs the given version of
// imago.
func NewTracing(version string, log *slog.Logger) *Tracing {
	return &Tracing{version: version, log: log, flush: flushTimeout}
}

// Start reads the environment and prepares the exporter. A collector that is
// not there is no error: what cannot be sent is dropped, and the log says so.
func (t *Tracing) Start(ctx context.Context) error {
	endpoint, err := endpoint()
	if err != nil || endpoint == "" {
		return err
	}
	exporter, err := newExporter(ctx, endpoint)
	if err != nil {
		return fmt.Errorf("telemetry: OTLP exporter: %w", err)
	}
	t.report()
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "imago"), attribute.String("service.version", t.version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return errors.Join(fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	t.tracer = t.provider.Tracer(scope, trace.WithInstrumentationVersion(t.version))
	t.log.Info("traces are exported")
	return nil
}

// report has the library say in imago's log what it cannot do. It knows only
// one place for that in a process.
func (t *Tracing) report() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.log.Warn("traces not exported", "error", err) }))
	otel.SetLogger(logr.FromSlogHandler(t.log.Handler()))
}

// Close sends what is left, for a few seconds at most.
func (t *Tracing) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.flush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("traces not exported", "error", err)
	}
	return nil
}

// variable returns the value of a variable for traces or, where there is none,
// of that for all signals.
func variable(name string) string {
	if v := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
		return v
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_" + name)
}

// endpoint returns where traces go, or nothing where there are to be none.
func endpoint() (string, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return "", nil
	}
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return "", nil
	default:
		return "", errors.New("telemetry: OTEL_TRACES_EXPORTER must be otlp or none")
	}
	return variable("ENDPOINT"), nil
}

// newExporter returns the exporter of the configured protocol. The libraries
// read the rest of the variables themselves.
func newExporter(ctx context.Context, endpoint string) (*otlptrace.Exporter, error) {
	switch variable("PROTOCOL") {
	case "", "http/protobuf", "http/json":
		if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be an http:// or https:// URL")
		}
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	}
	return nil, errors.New("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, http/json or grpc")
}

// Request begins the span of a request as a child of the one that its
// traceparent names (W3C Trace Context). It returns the context for the work on
// it, the ID of the trace, and what ends the span. While tracing is off there is
// no span: end is nil, and the ID that of the caller's trace, if it sent one.
func (t *Tracing) Request(r *http.Request, requestID string) (ctx context.Context, traceID string, end func(route, method string, status int)) {
	ctx = r.Context()
	if r.Header.Get("Traceparent") != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	if t.tracer == nil {
		return ctx, idOf(trace.SpanContextFromContext(ctx)), nil
	}
	ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("imago.request_id", requestID)))
	return ctx, idOf(span.SpanContext()), func(route, method string, status int) {
		span.SetName(method + " " + route)
		// The names are those of OpenTelemetry's semantic conventions for HTTP.
		span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route),
			attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}

func idOf(c trace.SpanContext) string {
	if !c.HasTraceID() {
		return ""
	}
	return c.TraceID().String()
}
