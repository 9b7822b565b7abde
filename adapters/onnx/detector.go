package onnx

import (
	"context"
	"errors"
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"imago/config"
	"imago/ports"
)

var _ ports.Detector = (*Detector)(nil)

// Detector finds faces with a network of the contract yunet or scrfd. It is
// safe for concurrent use; each call uses one core per cfg.Threads and memory
// in proportion to the pixels that the network sees.
type Detector struct {
	net      network
	contract outputContract // nil when the manifest names another
	feeder   feeder
	minScore float64
	buffers  sync.Pool // of *detectBuffers
}

// detectBuffers are the reusable buffers of a call of Detect.
type detectBuffers struct {
	resampler
	input []float32
}

// NewDetector returns a detector for the model on rt. Faces scoring less than
// cfg.MinScore are not reported; cfg.Threads is the number of threads of one
// run. The detector works between Start and Close.
func NewDetector(rt *Runtime, cfg config.Inference, m Model) *Detector {
	return &Detector{
		net:      network{rt: rt, threads: cfg.Threads, model: m},
		contract: contractOf(m.Manifest.Output.Contract),
		feeder:   newFeeder(m.Manifest.Input),
		minScore: cfg.MinScore,
		buffers:  sync.Pool{New: func() any { return new(detectBuffers) }},
	}
}

// Start loads the model, verifies its file against the manifest and its signature
// against the contract, and runs it once.
func (d *Detector) Start(ctx context.Context) error {
	if err := d.checkManifest(); err != nil {
		return d.net.model.wrap(err)
	}
	if err := d.net.open(d.choose); err != nil {
		return err
	}
	if err := d.warmUp(ctx); err != nil {
		_ = d.Close(ctx)
		return d.net.model.wrap(fmt.Errorf("first run: %w", err))
	}
	return nil
}

// Close waits for the calls in progress and frees the network. When ctx ends
// first they are cancelled with ErrUnavailable. Close may be called at any time.
func (d *Detector) Close(ctx context.Context) error { return d.net.close(ctx) }

// Detect implements ports.Detector. The input of the network has at most 4096 pixels a
// side, whatever longSide is.
func (d *Detector) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkImage(img); err != nil {
		return nil, err
	}
	faces, err := d.detect(ctx, img, longSide)
	return faces, classify(ctx, "detect", err)
}

func (d *Detector) detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	box := place(d.net.model.Manifest.Input, img, longSide)
	buffers := d.buffers.Get().(*detectBuffers)
	defer d.buffers.Put(buffers)
	buffers.input = resize(buffers.input, 3*box.gridWidth*box.gridHeight)
	if err := buffers.fill(ctx, buffers.input, img, box, d.feeder); err != nil {
		return nil, err
	}
	faces, err := d.infer(ctx, buffers.input, box)
	for i := range faces {
		faces[i] = box.face(faces[i])
	}
	return faces, err
}

// infer runs the network and returns the faces in pixels of its input.
func (d *Detector) infer(ctx context.Context, input []float32, box letterbox) ([]ports.Face, error) {
	shape := ort.NewShape(1, 3, int64(box.gridHeight), int64(box.gridWidth))
	outputs, err := d.net.run(ctx, shape, input)
	if err != nil {
		return nil, err
	}
	all, err := levels(d.contract, outputs, box.gridWidth, box.gridHeight)
	if err != nil {
		return nil, err
	}
	return decode(ctx, d.contract, all, d.minScore, d.net.model.Manifest.Output.IoU)
}

// checkManifest checks the values that the code below relies on.
func (d *Detector) checkManifest() error {
	in := d.net.model.Manifest.Input
	switch {
	case d.contract == nil:
		return fmt.Errorf("the output contract %q is not one of a detector; yunet and scrfd are", d.net.model.Manifest.Output.Contract)
	case in.Size < 0 || in.Size > maxSide || in.Size%gridStride != 0:
		return fmt.Errorf("input.size must be a multiple of %d up to %d", gridStride, maxSide)
	case in.Size == 0 && (in.Stride <= 0 || in.Stride%gridStride != 0):
		return fmt.Errorf("input.stride must be a multiple of %d", gridStride)
	}
	return nil
}

// choose checks the network's signature against the manifest.
func (d *Detector) choose(s signature) ([]string, error) {
	side := d.net.model.Manifest.Input.Size
	if side == 0 {
		side = -1
	}
	if err := s.checkImages(side, side); err != nil {
		return nil, err
	}
	if !fits(s.batch(), 1) {
		return nil, errors.New("the network must take one picture at a time")
	}
	names, err := d.contract.outputs(s.outputs)
	return names, err
}

// warmUp runs the detector on a small black picture that is not square, to check that
// the shapes of the outputs follow the input.
func (d *Detector) warmUp(ctx context.Context) error {
	_, err := d.detect(ctx, ports.NewImage(3*gridStride, 2*gridStride), 0)
	return err
}
