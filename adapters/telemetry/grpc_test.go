package telemetry_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"imago/adapters/telemetry"
)

// grpcReceiver takes spans as an OpenTelemetry collector does, over OTLP/gRPC.
type grpcReceiver struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	names []string
}

func (r *grpcReceiver) Export(_ context.Context, message *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range message.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				r.names = append(r.names, span.Name)
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestSpansReachTheCollectorOverGRPC(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := new(grpcReceiver)
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")

	tracing := telemetry.NewTracing("test", silent())
	tracing.SetFlush(time.Minute)
	require.NoError(t, tracing.Start(t.Context()))
	require.Equal(t, parentTrace, follow(t, tracing, traceparent))
	require.NoError(t, tracing.Close(t.Context()))
	r.mu.Lock()
	defer r.mu.Unlock()
	require.ElementsMatch(t, []string{"POST /users/{userId}", "store.search", "embed"}, r.names)
}
