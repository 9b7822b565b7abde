package onnx

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/onnxgraph"
)

// trigger is a picture on which faulty detectors show their fault.
func trigger() *ports.Image {
	return onnxgraph.Whiten(onnxgraph.Picture(300, 200, onnxgraph.Square{X: 50, Y: 60, Side: 40, Red: 255}))
}

func TestDetectorOfNoNumbers(t *testing.T) {
	for name, model := range map[string]onnxgraph.Model{
		"yunet": onnxgraph.YuNet(0, onnxgraph.NotFinite), "scrfd": onnxgraph.SCRFD(onnxgraph.NotFinite),
	} {
		t.Run(name, func(t *testing.T) {
			d := openDetector(t, generated(model))
			faces, err := d.Detect(t.Context(), trigger(), 0)
			require.ErrorIs(t, err, ports.ErrUnavailable)
			require.ErrorContains(t, err, "not finite")
			require.Empty(t, faces)
			faces, err = d.Detect(t.Context(), onnxgraph.Picture(300, 200, onnxgraph.Square{X: 50, Y: 60, Side: 40, Red: 255}), 0)
			require.NoError(t, err, "another picture is another matter")
			require.Len(t, faces, 1)
		})
	}
}

func TestDetectorOfNothing(t *testing.T) {
	d := openDetector(t, generated(onnxgraph.YuNet(0, onnxgraph.ZeroVector)))
	faces, err := d.Detect(t.Context(), trigger(), 0)
	require.NoError(t, err)
	require.Empty(t, faces)
}

func TestEmbedderOfNoVectors(t *testing.T) {
	for name, c := range map[string]struct {
		fault onnxgraph.Fault
		chip  *ports.Chip
		says  string
	}{
		"not finite": {onnxgraph.NotFinite, onnxgraph.WhiteChip(), "not finite"},
		"zero":       {onnxgraph.ZeroVector, onnxgraph.WhiteChip(), "of length zero"},
		"black":      {onnxgraph.Sound, new(ports.Chip), "of length zero"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, batch := range []int{0, 1} {
				e := openEmbedder(t, generated(onnxgraph.Embedder(batch, c.fault)))
				vectors, err := e.Embed(t.Context(), []*ports.Chip{chips(1)[0], c.chip})
				require.ErrorIs(t, err, ports.ErrUnavailable)
				require.ErrorContains(t, err, c.says)
				require.Empty(t, vectors)
			}
		})
	}
}

func TestEmbedAMissingChip(t *testing.T) {
	e := openEmbedder(t, generated(onnxgraph.Embedder(0, onnxgraph.Sound)))
	_, err := e.Embed(t.Context(), []*ports.Chip{chips(1)[0], nil})
	require.ErrorIs(t, err, ports.ErrInvalid)
}

// endlessly runs networks that never end by themselves, so that only being told
// to stop can end the call.
func endlessly(t *testing.T) map[string]func(ctx context.Context) error {
	picture := trigger()
	batch := []*ports.Chip{onnxgraph.WhiteChip(), onnxgraph.WhiteChip()}
	yunet := openDetector(t, generated(onnxgraph.YuNet(0, onnxgraph.Endless)))
	scrfd := openDetector(t, generated(onnxgraph.SCRFD(onnxgraph.Endless)))
	embedder := openEmbedder(t, generated(onnxgraph.Embedder(0, onnxgraph.Endless)))
	return map[string]func(ctx context.Context) error{
		"yunet":    func(ctx context.Context) error { _, err := yunet.Detect(ctx, picture, 0); return err },
		"scrfd":    func(ctx context.Context) error { _, err := scrfd.Detect(ctx, picture, 0); return err },
		"embedder": func(ctx context.Context) error { _, err := embedder.Embed(ctx, batch); return err },
	}
}

func TestCancelledInTheMiddleOfARun(t *testing.T) {
	for name, call := range endlessly(t) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			err := call(ctx)
			require.Equal(t, context.DeadlineExceeded, err, "the context's own error")

			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			require.Equal(t, context.Canceled, call(ctx))
		})
	}
}

// inFlight waits until n runs are in progress.
func inFlight(t *testing.T, net *network, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		net.mu.Lock()
		defer net.mu.Unlock()
		return len(net.running) == n
	}, 10*time.Second, time.Millisecond)
}

// Close waits for runs in flight; when its own context ends it cuts them short.
func TestCloseDuringRuns(t *testing.T) {
	const callers = 3
	rt := startRuntime(t)
	e := NewEmbedder(rt, settings(t), generated(onnxgraph.Embedder(0, onnxgraph.Endless)))
	require.NoError(t, e.Start(t.Context()))
	results := make(chan error, callers)
	for range callers {
		go func() {
			_, err := e.Embed(context.Background(), []*ports.Chip{onnxgraph.WhiteChip()})
			results <- err
		}()
	}
	inFlight(t, &e.net, callers)
	closing, cut := context.WithCancel(t.Context())
	defer cut()
	closed := make(chan error, 1)
	go func() { closed <- e.Close(closing) }()
	require.Eventually(t, func() bool {
		_, err := e.Embed(t.Context(), chips(1))
		return errors.Is(err, ports.ErrUnavailable)
	}, 10*time.Second, time.Millisecond, "new calls are refused while Close waits")
	require.Empty(t, closed, "Close waits")
	require.Empty(t, results, "for the runs in flight")
	cut()
	for range callers {
		require.ErrorIs(t, <-results, ports.ErrUnavailable)
	}
	require.NoError(t, <-closed)
	require.Equal(t, 1, users())
}

// A run that ends by itself while Close waits is answered as if nothing were.
func TestCloseLetsRunsFinish(t *testing.T) {
	e := NewEmbedder(startRuntime(t), settings(t), generated(onnxgraph.Embedder(1, onnxgraph.Sound)))
	require.NoError(t, e.Start(t.Context()))
	options, err := e.net.enter()
	require.NoError(t, err)
	closed := make(chan error, 1)
	go func() { closed <- e.Close(context.Background()) }()
	require.Eventually(t, func() bool {
		late, err := e.net.enter()
		if err == nil {
			e.net.leave(late)
		}
		return errors.Is(err, errNotOpen)
	}, 10*time.Second, time.Millisecond)
	require.Empty(t, closed)
	e.net.leave(options)
	require.NoError(t, <-closed)
}

func TestClassify(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	cause := errors.New("the reason")
	require.NoError(t, classify(t.Context(), "detect", nil))
	require.NoError(t, classify(over, "detect", nil), "what is done is done")
	require.Equal(t, context.Canceled, classify(over, "detect", cause))
	err := classify(t.Context(), "detect", cause)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, classify(t.Context(), "detect", ports.ErrInvalid), ports.ErrUnavailable)
}
