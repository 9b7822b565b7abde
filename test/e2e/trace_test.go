package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spanCollector takes spans as an OpenTelemetry collector does, over OTLP/HTTP.
type spanCollector struct {
	mu       sync.Mutex
	spans    []*tracepb.Span
	services map[string]bool
	headers  http.Header
	err      error
}

func (c *spanCollector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	var message collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &message)
	}
	if err != nil {
		c.err = err
		return
	}
	c.headers = r.Header
	for _, resource := range message.ResourceSpans {
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				c.services[a.Value.GetStringValue()] = true
			}
		}
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// collect starts a collector and returns it with the environment that names it.
func collect(t *testing.T) (*spanCollector, []string) {
	t.Helper()
	c := &spanCollector{services: map[string]bool{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_EXPORTER_OTLP_HEADERS=x-tenant=faces", "OTEL_SERVICE_NAME=doorkeeper",
	}
}

// of returns the spans of a trace by name; several of one name are one here.
func (c *spanCollector) of(trace string) map[string]*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := map[string]*tracepb.Span{}
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			spans[s.Name] = s
		}
	}
	return spans
}

// traced makes a request that belongs to a trace.
func (s *server) traced(method, path, body, trace, span, flags string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("x-api-key", apiKey)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", "00-"+trace+"-"+span+"-"+flags)
	a, err := s.do(req)
	require.NoError(s.t, err)
	return a
}

func TestTraces(t *testing.T) {
	t.Parallel()
	c, env := collect(t)
	s := start(t, env...)
	const (
		enrolTrace  = "0af7651916cd43dd8448eb211c80319c"
		searchTrace = "0af7651916cd43dd8448eb211c80319d"
		unsampled   = "0af7651916cd43dd8448eb211c80319e"
		parent      = "b7ad6b7169203331"
	)
	face := faceJSON(portrait(t))
	require.Equal(t, http.StatusOK, s.traced("POST", "/users/traced-person", face, enrolTrace, parent, "01").status)
	require.Equal(t, http.StatusOK, s.traced("POST", "/users/search", face, searchTrace, parent, "01").status)
	require.Equal(t, http.StatusOK, s.traced("POST", "/users/search", face, unsampled, parent, "00").status)
	s.stop() // sends what is left

	require.NoError(t, c.err)
	require.Equal(t, map[string]bool{"doorkeeper": true}, c.services)
	require.Equal(t, "faces", c.headers.Get("x-tenant"))
	for trace, want := range map[string][]string{
		enrolTrace:  {"POST /users/{userId}", "decode", "detect", "embed", "store.get", "store.add"},
		searchTrace: {"POST /users/search", "decode", "detect", "embed", "store.search"},
	} {
		spans := c.of(trace)
		root := spans[want[0]]
		require.NotNil(t, root, "%v", spans)
		require.Equal(t, parent, hex.EncodeToString(root.ParentSpanId))
		require.Equal(t, tracepb.Span_SPAN_KIND_SERVER, root.Kind)
		require.Len(t, spans, len(want))
		for _, stage := range want[1:] {
			require.NotNil(t, spans[stage], stage)
			require.Equal(t, root.SpanId, spans[stage].ParentSpanId, stage)
			require.GreaterOrEqual(t, spans[stage].StartTimeUnixNano, root.StartTimeUnixNano)
			require.LessOrEqual(t, spans[stage].EndTimeUnixNano, root.EndTimeUnixNano)
		}
		for _, span := range spans {
			require.NotContains(t, span.String(), "traced-person")
		}
		require.Contains(t, s.log.String(), `"trace_id":"`+trace+`"`)
	}
	require.Empty(t, c.of(unsampled))
	for _, span := range c.spans {
		require.NotContains(t, span.Name, "/readyz", "probes are in no trace")
	}
}

func TestTracingDisabled(t *testing.T) {
	t.Parallel()
	c, env := collect(t)
	s := start(t, append(env, "OTEL_SDK_DISABLED=true")...)
	require.Equal(t, http.StatusOK, s.enrol("untraced", portrait(t)).status)
	s.stop()
	require.NoError(t, c.err)
	require.Empty(t, c.spans)
	require.NotContains(t, s.log.String(), "trace_id")
}
