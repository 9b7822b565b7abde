package onnx

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/onnxgraph"
)

// starter is what Detector and Embedder have in common here.
type starter interface {
	Start(ctx context.Context) error
	Close(ctx context.Context) error
}

// build returns the detector or embedder that a manifest's kind asks for.
func build(tb testing.TB, rt *Runtime, m Model) starter {
	if m.Manifest.Kind == config.KindEmbedder {
		return NewEmbedder(rt, settings(tb), m)
	}
	return NewDetector(rt, settings(tb), m)
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	yunet := func(fault onnxgraph.Fault) onnxgraph.Model { return onnxgraph.YuNet(0, fault) }
	for name, c := range map[string]struct {
		model  onnxgraph.Model
		change func(m *config.Manifest)
		says   string
	}{
		"yunet without an output":    {yunet(onnxgraph.MissingOutput), nil, "needs an output bbox_16, but the network has kps_32 [1 -1 10]"},
		"yunet with a narrow output": {yunet(onnxgraph.WrongShape), nil, "output kps_32 must be float32 with a last dimension of 10"},
		"scrfd without an output":    {onnxgraph.SCRFD(onnxgraph.MissingOutput), nil, "needs nine outputs"},
		"scrfd with a narrow output": {onnxgraph.SCRFD(onnxgraph.WrongShape), nil, "output 448 must be float32 with a last dimension of 1"},
		"yunet called scrfd":         {yunet(onnxgraph.Sound), func(m *config.Manifest) { m.Output.Contract = config.ContractSCRFD }, "needs nine outputs"},
		"scrfd called yunet":         {onnxgraph.SCRFD(onnxgraph.Sound), func(m *config.Manifest) { m.Output.Contract = config.ContractYuNet }, "needs an output cls_8"},
		"detector called embedding":  {yunet(onnxgraph.Sound), func(m *config.Manifest) { m.Output.Contract = config.ContractEmbedding }, `"embedding" is not one of a detector`},
		"fixed called open":          {onnxgraph.YuNet(320, onnxgraph.Sound), func(m *config.Manifest) { m.Input.Size = 0 }, "the network takes 320 pixels only"},
		"fixed to another size":      {onnxgraph.YuNet(320, onnxgraph.Sound), func(m *config.Manifest) { m.Input.Size = 640 }, "input of 640 pixels, but the network takes 320"},
		"odd size":                   {yunet(onnxgraph.Sound), func(m *config.Manifest) { m.Input.Size = 100 }, "input.size must be a multiple of 32"},
		"odd stride":                 {yunet(onnxgraph.Sound), func(m *config.Manifest) { m.Input.Stride = 8 }, "input.stride must be a multiple of 32"},
		"no stride":                  {yunet(onnxgraph.Sound), func(m *config.Manifest) { m.Input.Stride = 0 }, "input.stride must be a multiple of 32"},
		"embedder as detector": {onnxgraph.Embedder(0, onnxgraph.Sound), func(m *config.Manifest) {
			m.Kind, m.Output.Contract = config.KindDetector, config.ContractYuNet
			m.Input.Size = 128
		}, "network takes 112"},

		"embedder without vectors":      {onnxgraph.Embedder(0, onnxgraph.MissingOutput), nil, "output must be N x dimension"},
		"embedder of another length":    {onnxgraph.Embedder(1, onnxgraph.WrongShape), nil, "last dimension of 16"},
		"embedder of three chips":       {onnxgraph.Embedder(3, onnxgraph.Sound), nil, "takes 3 chips at a time"},
		"embedder of another dimension": {onnxgraph.Embedder(0, onnxgraph.Sound), func(m *config.Manifest) { m.Output.Dimension = 512 }, "last dimension of 512"},
		"embedder without dimension":    {onnxgraph.Embedder(0, onnxgraph.Sound), func(m *config.Manifest) { m.Output.Dimension = 0 }, "output.dimension must be at least 1"},
		"embedder of another size":      {onnxgraph.Embedder(0, onnxgraph.Sound), func(m *config.Manifest) { m.Input.Size = 160 }, "input.size must be 112"},
		"embedder called yunet":         {onnxgraph.Embedder(0, onnxgraph.Sound), func(m *config.Manifest) { m.Output.Contract = config.ContractYuNet }, `"yunet" is not one of an embedder`},
		"yunet as embedder": {yunet(onnxgraph.Sound), func(m *config.Manifest) {
			m.Kind, m.Output.Contract, m.Output.Dimension, m.Input.Size = config.KindEmbedder, config.ContractEmbedding, 10, 112
		}, "needs one output"},
		"embedder of faulty vectors": {onnxgraph.Embedder(0, onnxgraph.NotFinite), func(m *config.Manifest) { m.Input.Scale = 2.0 / 255 }, "not finite"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change != nil {
				c.change(&c.model.Manifest)
			}
			requireNoStart(t, generated(c.model), c.says)
		})
	}
}

// requireNoStart checks that a model does not start, says why and under which
// name, and leaves nothing behind.
func requireNoStart(t *testing.T, m Model, says string) {
	t.Helper()
	s := build(t, startRuntime(t), m)
	err := s.Start(t.Context())
	require.ErrorContains(t, err, says)
	require.ErrorContains(t, err, "model "+m.Manifest.Name)
	require.Equal(t, 1, users(), "only the runtime is left")
	require.NoError(t, s.Close(t.Context()))
}

func TestStartChecksTheFile(t *testing.T) {
	sound := onnxgraph.YuNet(0, onnxgraph.Sound)
	file := func(data []byte) fstest.MapFS {
		return fstest.MapFS{sound.Manifest.File: &fstest.MapFile{Data: data}}
	}
	flipped := bytes.Clone(sound.Data)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		model Model
		says  string
	}{
		"missing":   {Model{sound.Manifest, fstest.MapFS{}}, "file does not exist"},
		"no folder": {Model{sound.Manifest, nil}, "no models folder"},
		"shorter":   {Model{sound.Manifest, file(sound.Data[1:])}, "its manifest says"},
		"longer":    {Model{sound.Manifest, file(append(bytes.Clone(sound.Data), 0))}, "its manifest says"},
		"empty":     {Model{sound.Manifest, file(nil)}, "its manifest says"},
		"changed":   {Model{sound.Manifest, file(flipped)}, "its manifest says " + sound.Manifest.SHA256},
	} {
		t.Run(name, func(t *testing.T) { requireNoStart(t, c.model, c.says) })
	}
}

func TestStartRefusesWhatIsNoNetwork(t *testing.T) {
	m := onnxgraph.YuNet(0, onnxgraph.Sound)
	m.Data = []byte("this is not a network")
	m.Manifest.Size = int64(len(m.Data))
	m.Manifest.SHA256 = "0bb6ec2ad3fd0bb4f5f01ed3bd53b4f43f2e6f2fb7bb5f1e7b2b2f8b5a6bbd40"
	_, err := generated(m).read()
	require.ErrorContains(t, err, "SHA-256")
	_, sum, _ := strings.Cut(err.Error(), "has SHA-256 ")
	m.Manifest.SHA256 = sum[:64]
	requireNoStart(t, generated(m), "not a network that ONNX Runtime can load")
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, m := range []onnxgraph.Model{onnxgraph.YuNet(0, onnxgraph.Sound), onnxgraph.Embedder(1, onnxgraph.Sound)} {
		require.ErrorIs(t, build(t, startRuntime(t), generated(m)).Start(ctx), context.Canceled)
	}
}

// The first run of a network can take long; it does not outlast its context.
func TestStartEndsWithItsContextDuringTheFirstRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	m := onnxgraph.Embedder(1, onnxgraph.Endless)
	m.Manifest.Input.Scale *= 2 // the grey of the first run is white then
	require.ErrorIs(t, build(t, startRuntime(t), generated(m)).Start(ctx), context.DeadlineExceeded)
	require.Equal(t, 1, users())
}

func TestNothingWorksBeforeStart(t *testing.T) {
	d := NewDetector(startRuntime(t), settings(t), generated(onnxgraph.YuNet(0, onnxgraph.Sound)))
	_, err := d.Detect(t.Context(), ports.NewImage(10, 10), 0)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.NoError(t, d.Close(t.Context()))
	e := NewEmbedder(startRuntime(t), settings(t), generated(onnxgraph.Embedder(0, onnxgraph.Sound)))
	_, err = e.Embed(t.Context(), chips(1))
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.NoError(t, e.Close(t.Context()))
}

func TestStartAgainAfterClose(t *testing.T) {
	rt := startRuntime(t)
	for _, m := range []onnxgraph.Model{onnxgraph.SCRFD(onnxgraph.Sound), onnxgraph.Embedder(1, onnxgraph.Sound)} {
		s := build(t, rt, generated(m))
		for range 2 {
			require.NoError(t, s.Start(t.Context()))
			require.ErrorContains(t, s.Start(t.Context()), "already started")
			require.NoError(t, s.Close(t.Context()))
			require.NoError(t, s.Close(t.Context()), "closing twice does nothing")
		}
		require.Equal(t, 1, users())
	}
}
