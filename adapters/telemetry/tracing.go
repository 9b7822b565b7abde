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

// Tracing records a span for each request and each of its stages, and exports them by
// OTLP. It is configured by the environment variables of OpenTelemetry, and off unless
// they name an endpoint. It is safe for
// concurrent use once it is started.
type Tracing struct {
	version  string
	log      *slog.Logger
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer  // nil while tracing is off
	flush    time.Duration // flushTimeout except in tests
}

// NewTracing returns the tracing of a process that runs the given version of
// imago.
func NewTracing(version string, log *slog.Logger) *Tracing {
	return &Tracing{version: version, log: log.With("component", "telemetry"), flush: flushTimeout}
}

// Start reads the environment and prepares the exporter. An unreachable collector is no
// error: spans that cannot be sent are dropped, with a warning in the log.
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
	t.log.Info("exporting traces")
	return nil
}

// report routes the errors of the library to imago's log. The library has one handler
// per process.
func (t *Tracing) report() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.log.Warn("cannot export traces", "error", err) }))
	otel.SetLogger(logr.FromSlogHandler(t.log.Handler()))
}

// Close flushes the last spans, for a few seconds at most.
func (t *Tracing) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.flush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("cannot export traces", "error", err)
	}
	return nil
}

// variable returns the value of a variable for traces, or else of the one for all
// signals.
func variable(name string) string {
	if v := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
		return v
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_" + name)
}

// Enabled reports whether the environment asks for traces.
func Enabled() (bool, error) {
	address, err := endpoint()
	return address != "", err
}

// endpoint returns the OTLP endpoint, empty where tracing is off.
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
// it, the ID of the trace, and a function that ends the span. While tracing is off, end
// is nil and the ID is that of the caller's trace, if it sent one.
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

// Track adds what the client of a request sent to find it by, as it came, to the span of
// the request that ctx is the context of.
func (t *Tracing) Track(ctx context.Context, tracking string) {
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("imago.tracking", tracking))
}

func idOf(c trace.SpanContext) string {
	if !c.HasTraceID() {
		return ""
	}
	return c.TraceID().String()
}
