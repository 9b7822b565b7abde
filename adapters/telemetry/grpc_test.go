package telemetry_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"imago/adapters/telemetry"
)

// grpcReceiver takes spans as an OpenTelemetry collector does, over OTLP/gRPC.
type grpcReceiver struct {
	collector.UnimplementedTraceServiceServer
	names chan string
}

func (r *grpcReceiver) Export(_ context.Context, message *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	for _, resource := range message.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				r.names <- span.Name
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestSpansReachTheCollectorOverGRPC(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &grpcReceiver{names: make(chan string, 16)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")

	tracing := telemetry.NewTracing("test", silent())
	require.NoError(t, tracing.Start(t.Context()))
	require.Equal(t, parentTrace, follow(t, tracing, traceparent))
	require.NoError(t, tracing.Close(t.Context()))
	close(r.names)
	var names []string
	for name := range r.names {
		names = append(names, name)
	}
	require.ElementsMatch(t, []string{"POST /users/{userId}", "store.search", "embed"}, names)
}
