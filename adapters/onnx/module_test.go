package onnx

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/ports"
	"imago/test/onnxgraph"
)

// app is the module with generated networks.
func app(t *testing.T, detector, embedder onnxgraph.Model, rest ...fx.Option) fx.Option {
	return fx.Options(
		Module,
		fx.Supply(settings(t), slog.New(slog.DiscardHandler)),
		fx.Supply(Models{Detector: generated(detector), Embedder: generated(embedder)}),
		fx.Options(rest...),
	)
}

func TestModule(t *testing.T) {
	var d ports.Detector
	var e ports.Embedder
	a := fxtest.New(t, app(t, onnxgraph.SCRFD(onnxgraph.Sound), onnxgraph.Embedder(0, onnxgraph.Sound), fx.Populate(&d, &e)))
	a.RequireStart()
	require.Equal(t, 3, users(), "the runtime and two networks")
	faces, err := d.Detect(t.Context(), onnxgraph.Picture(200, 200, onnxgraph.Square{X: 50, Y: 60, Side: 40, Red: 255}), 0)
	require.NoError(t, err)
	require.Len(t, faces, 1)
	_, err = e.Embed(t.Context(), chips(1))
	require.NoError(t, err)
	a.RequireStop()
	requireUnused(t)
	_, err = d.Detect(t.Context(), ports.NewImage(10, 10), 0)
	require.ErrorIs(t, err, ports.ErrUnavailable)
}

// When one network does not start, what had started is closed again.
func TestModuleCleansUp(t *testing.T) {
	var d ports.Detector
	var e ports.Embedder
	a := fx.New(app(t, onnxgraph.SCRFD(onnxgraph.Sound), onnxgraph.Embedder(3, onnxgraph.Sound), fx.Populate(&d, &e), fx.NopLogger))
	require.NoError(t, a.Err())
	require.ErrorContains(t, a.Start(t.Context()), "takes 3 chips at a time")
	requireUnused(t)
}

func TestModuleIsComplete(t *testing.T) {
	require.NoError(t, fx.ValidateApp(app(t, onnxgraph.SCRFD(onnxgraph.Sound), onnxgraph.Embedder(0, onnxgraph.Sound), fx.NopLogger, fx.Invoke(func(ports.Detector, ports.Embedder) {}))))
}
