package telemetry_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"imago/adapters/telemetry"
	"imago/ports"
)

const (
	parentTrace = "0af7651916cd43dd8448eb211c80319c"
	parentSpan  = "b7ad6b7169203331"
	traceparent = "00-" + parentTrace + "-" + parentSpan + "-01"
)

// receiver takes spans as an OpenTelemetry collector does, over OTLP/HTTP.
type receiver struct {
	mu       sync.Mutex
	requests int
	broken   []error
	resource []string
	spans    map[string]*tracepb.Span // by name
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	body, err := io.ReadAll(req.Body)
	var message collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &message)
	}
	if err != nil || req.URL.Path != "/v1/traces" {
		r.broken = append(r.broken, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, rs := range message.ResourceSpans {
		for _, a := range rs.Resource.Attributes {
			r.resource = append(r.resource, a.Key+"="+a.Value.GetStringValue())
		}
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				r.spans[span.Name] = span
			}
		}
	}
}

// receive starts a receiver and points the environment to it.
func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{spans: map[string]*tracepb.Span{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return r
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// follow has one request with two stages traced.
func follow(t *testing.T, tracing *telemetry.Tracing, header string) (traceID string) {
	t.Helper()
	m := telemetry.New("test")
	r := httptest.NewRequest("POST", "/users/private-person", nil)
	if header != "" {
		r.Header.Set("traceparent", header)
	}
	ctx, traceID, end := tracing.Request(r, "request-1")
	_, _ = telemetry.WrapVectorStore(faulty{err: ports.ErrUnavailable}, m, tracing).Search(ctx, ports.Query{})
	_, _ = telemetry.WrapEmbedder(port{}, m, tracing).Embed(ctx, nil)
	require.Equal(t, "1", count(t, m, "search"))
	if end != nil {
		end("/users/{userId}", "POST", 503)
	}
	return traceID
}

func TestSpansReachTheCollector(t *testing.T) {
	r := receive(t)
	t.Setenv("OTEL_SERVICE_NAME", "faces")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	tracing := telemetry.NewTracing("v9", silent())
	tracing.SetFlush(time.Minute)
	require.NoError(t, tracing.Start(t.Context()))
	require.Equal(t, parentTrace, follow(t, tracing, traceparent))
	require.NoError(t, tracing.Close(t.Context()))

	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.broken)
	require.Subset(t, r.resource, []string{"service.name=faces", "service.version=v9", "deployment.environment.name=test"})
	require.Len(t, r.spans, 3)
	root := r.spans["POST /users/{userId}"]
	require.NotNil(t, root)
	require.Equal(t, parentTrace, hexOf(root.TraceId))
	require.Equal(t, parentSpan, hexOf(root.ParentSpanId))
	require.Equal(t, tracepb.Span_SPAN_KIND_SERVER, root.Kind)
	require.Equal(t, tracepb.Status_STATUS_CODE_ERROR, root.Status.Code)
	require.Contains(t, root.String(), "request-1")
	for _, name := range []string{"store.search", "embed"} {
		require.NotNil(t, r.spans[name], name)
		require.Equal(t, root.SpanId, r.spans[name].ParentSpanId, name)
		require.NotContains(t, r.spans[name].String(), "private-person")
	}
	require.Equal(t, tracepb.Status_STATUS_CODE_ERROR, r.spans["store.search"].Status.Code)
	require.NotContains(t, root.String(), "private-person")
}

func hexOf(id []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, b := range id {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// The caller decides whether a trace is sampled, and so does the environment.
func TestSampling(t *testing.T) {
	for name, tt := range map[string]struct {
		header, sampler string
		spans           int
	}{
		"a new trace":                {"", "", 3},
		"the caller says no":         {"00-" + parentTrace + "-" + parentSpan + "-00", "", 0},
		"off":                        {"", "always_off", 0},
		"on, whatever the caller":    {"00-" + parentTrace + "-" + parentSpan + "-00", "always_on", 3},
		"a traceparent that is none": {"00-zz-zz-01", "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t)
			if tt.sampler != "" {
				t.Setenv("OTEL_TRACES_SAMPLER", tt.sampler)
			}
			tracing := telemetry.NewTracing("test", silent())
			tracing.SetFlush(time.Minute)
			require.NoError(t, tracing.Start(t.Context()))
			require.Len(t, follow(t, tracing, tt.header), 32, "logs have the trace's ID, sampled or not")
			require.NoError(t, tracing.Close(t.Context()))
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Len(t, r.spans, tt.spans)
		})
	}
}

func TestTracingIsOff(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"without an endpoint": {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
		"disabled":            {"OTEL_SDK_DISABLED": "True"},
		"without an exporter": {"OTEL_TRACES_EXPORTER": "none"},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t)
			for k, v := range env {
				t.Setenv(k, v)
			}
			tracing := telemetry.NewTracing("test", silent())
			require.NoError(t, tracing.Start(t.Context()))
			require.Equal(t, parentTrace, follow(t, tracing, traceparent), "the caller's trace is in the log all the same")
			require.Empty(t, follow(t, tracing, ""))
			request := httptest.NewRequest("GET", "/", nil)
			ctx, _, end := tracing.Request(request, "id")
			require.Nil(t, end)
			require.Equal(t, request.Context(), ctx)
			require.Zero(t, testing.AllocsPerRun(100, func() { tracing.Request(request, "id") }))
			require.NoError(t, tracing.Close(t.Context()))
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Zero(t, r.requests)
		})
	}
}

func TestBadTracingSettings(t *testing.T) {
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL":        "carrier-pigeon",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector:4318",
		"OTEL_TRACES_EXPORTER":               "zipkin",
	} {
		t.Run(variable, func(t *testing.T) {
			receive(t)
			t.Setenv(variable, value)
			require.ErrorContains(t, telemetry.NewTracing("test", silent()).Start(t.Context()), "OTEL_")
		})
	}
}

// A collector that is away costs spans and a line in the log, nothing else.
func TestCollectorAway(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
	var log bytes.Buffer
	tracing := telemetry.NewTracing("test", slog.New(slog.NewJSONHandler(&log, nil)))
	require.NoError(t, tracing.Start(t.Context()))
	follow(t, tracing, "")
	require.NoError(t, tracing.Close(t.Context()))
	require.Contains(t, log.String(), `"level":"WARN","msg":"cannot export traces"`)
}
