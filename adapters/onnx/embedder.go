package onnx

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"imago/config"
	"imago/ports"
)

var _ ports.Embedder = (*Embedder)(nil)

// maxBatch is the largest batch of a network with a dynamic batch dimension; it bounds
// the memory of a call.
const maxBatch = 16

// errNoDirection is the error for a vector of length zero.
var errNoDirection = errors.New("the network returned a vector of length zero")

// chipFloats is the number of input elements of a chip.
const chipFloats = 3 * ports.ChipSize * ports.ChipSize

// Embedder turns face chips into unit vectors with a network of the contract
// embedding. It is safe for concurrent use.
type Embedder struct {
	net     network
	batch   int // chips a run
	tables  [3][256]float32
	planes  [3]int
	buffers sync.Pool // of *[]float32
}

// NewEmbedder returns an embedder for the model on rt; cfg.Threads is the number
// of threads of one run. The embedder works between Start and Close.
func NewEmbedder(rt *Runtime, cfg config.Inference, m Model) *Embedder {
	e := &Embedder{
		net:     network{rt: rt, threads: cfg.Threads, model: m},
		planes:  newFeeder(m.Manifest.Input).plane,
		buffers: sync.Pool{New: func() any { return new([]float32) }},
	}
	in := m.Manifest.Input
	for c, p := range e.planes {
		for v := range 256 {
			e.tables[c][v] = float32((float64(v)*in.Scale - in.Mean[p]) / in.Std[p])
		}
	}
	return e
}

// Start loads the model, verifies its file and its signature against the manifest, and
// runs it once.
func (e *Embedder) Start(ctx context.Context) error {
	if err := e.checkManifest(); err != nil {
		return e.net.model.wrap(err)
	}
	if err := e.net.open(e.choose); err != nil {
		return err
	}
	if err := e.warmUp(ctx); err != nil {
		_ = e.Close(ctx)
		return e.net.model.wrap(fmt.Errorf("first run: %w", err))
	}
	return nil
}

// Close waits for the calls in progress and frees the network. When ctx ends
// first they are cancelled with ErrUnavailable. Close may be called at any time.
func (e *Embedder) Close(ctx context.Context) error { return e.net.close(ctx) }

// Embed implements ports.Embedder. A network whose batch dimension is fixed to
// 1 is run chip by chip, any other with up to 16 chips at once.
func (e *Embedder) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, chip := range chips {
		if chip == nil {
			return nil, ports.Refuse(ports.ErrInvalid, "a face chip is missing")
		}
	}
	vectors := make([][]float32, 0, len(chips))
	for len(chips) > 0 {
		n := min(len(chips), e.batch)
		some, err := e.embed(ctx, chips[:n])
		if err != nil {
			return nil, classify(ctx, "embed", err)
		}
		vectors = append(vectors, some...)
		chips = chips[n:]
	}
	return vectors, nil
}

// Space implements ports.Embedder.
func (e *Embedder) Space() ports.Space {
	m := e.net.model.Manifest
	return ports.Space{
		Model:         m.Name,
		Digest:        m.SHA256,
		Preprocessing: preprocessing(m.Input),
		Dimension:     m.Output.Dimension,
	}
}

// preprocessing describes how a chip becomes network input.
func preprocessing(in config.ModelInput) string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	triple := func(v [3]float64) string {
		return strings.Join([]string{number(v[0]), number(v[1]), number(v[2])}, ",")
	}
	return fmt.Sprintf("%s similarity alignment, %s scale %s mean %s std %s",
		ports.ChipAlignment, in.Colour, number(in.Scale), triple(in.Mean), triple(in.Std))
}

// embed runs the network on one batch.
func (e *Embedder) embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	outputs, err := e.infer(ctx, chips)
	if err != nil {
		return nil, err
	}
	dimension := e.net.model.Manifest.Output.Dimension
	out := outputs[0]
	if len(out.shape) != 2 || out.shape[0] != int64(len(chips)) || out.shape[1] != int64(dimension) {
		return nil, fmt.Errorf("the network returned %v for %d chips, not %d vectors of %d numbers", out.shape, len(chips), len(chips), dimension)
	}
	vectors := make([][]float32, len(chips))
	for i := range vectors {
		// With the third index an append by the caller cannot overwrite the next vector.
		vectors[i] = out.data[i*dimension : (i+1)*dimension : (i+1)*dimension]
		if err := normalise(vectors[i]); err != nil {
			return nil, err
		}
	}
	return vectors, nil
}

func (e *Embedder) infer(ctx context.Context, chips []*ports.Chip) ([]tensor, error) {
	buffer := e.buffers.Get().(*[]float32)
	defer e.buffers.Put(buffer)
	*buffer = resize(*buffer, len(chips)*chipFloats)
	for i, chip := range chips {
		e.feed((*buffer)[i*chipFloats:][:chipFloats], chip)
	}
	shape := ort.NewShape(int64(len(chips)), 3, ports.ChipSize, ports.ChipSize)
	return e.net.run(ctx, shape, *buffer)
}

// feed writes a chip as three planes.
func (e *Embedder) feed(dst []float32, chip *ports.Chip) {
	const cells = chipFloats / 3
	for c, p := range e.planes {
		plane, table := dst[p*cells:][:cells], &e.tables[c]
		for i := range plane {
			plane[i] = table[chip[3*i+c]]
		}
	}
}

// normalise scales a vector to length 1.
func normalise(v []float32) error {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	norm := math.Sqrt(sum)
	switch {
	case math.IsNaN(norm) || math.IsInf(norm, 0):
		return errNotFinite
	case norm == 0:
		return errNoDirection
	}
	for i, x := range v {
		v[i] = float32(float64(x) / norm)
	}
	return nil
}

// checkManifest checks the values that the code relies on.
func (e *Embedder) checkManifest() error {
	m := e.net.model.Manifest
	switch {
	case m.Output.Contract != config.ContractEmbedding:
		return fmt.Errorf("the output contract %q is not one of an embedder; embedding is", m.Output.Contract)
	case m.Input.Size != ports.ChipSize:
		return fmt.Errorf("input.size must be %d, the size of a face chip", ports.ChipSize)
	case m.Output.Dimension < 1:
		return errors.New("output.dimension must be at least 1")
	}
	return nil
}

// choose checks the network's signature against the manifest and sets the batch size.
func (e *Embedder) choose(s signature) ([]string, error) {
	if err := s.checkImages(ports.ChipSize, ports.ChipSize); err != nil {
		return nil, err
	}
	switch s.batch() {
	case 1:
		e.batch = 1
	case -1:
		e.batch = maxBatch
	default:
		return nil, fmt.Errorf("the network takes %d chips at a time; 1 or any number is supported", s.batch())
	}
	if len(s.outputs) != 1 {
		return nil, fmt.Errorf("the contract embedding needs one output, but the network has %s", describe(s.outputs))
	}
	out := s.outputs[0]
	if len(out.Dimensions) != 2 {
		return nil, fmt.Errorf("the output must be N x dimension, but it is %s", out.String())
	}
	return []string{out.Name}, checkOutput(out, int64(e.net.model.Manifest.Output.Dimension))
}

// warmUp embeds grey chips, two at once where the network takes batches, to check that
// the shape of the output follows the input.
func (e *Embedder) warmUp(ctx context.Context) error {
	grey := new(ports.Chip)
	for i := range grey {
		grey[i] = 128
	}
	_, err := e.embed(ctx, []*ports.Chip{grey, grey}[:min(2, e.batch)])
	return err
}
