package onnx

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"imago/adapters/onnx/rewrite"
)

// tensor is one float32 output of a network, in memory of its own.
type tensor struct {
	shape ort.Shape
	data  []float32
}

// network is one model with its session and the runs in flight on it. It is
// safe for concurrent use: ONNX Runtime sessions may be run by many callers at
// once.
type network struct {
	rt         *Runtime
	threads    int
	model      Model
	unmodified bool // not rewritten, for comparison

	mu      sync.Mutex
	session *ort.DynamicAdvancedSession // nil before open and after close
	outputs int
	closing bool
	running map[*ort.RunOptions]struct{}
	idle    chan struct{} // closed once closing and nothing runs
}

// open reads the model, has choose check its signature and name the wanted outputs, and
// creates the session. On an error nothing stays allocated.
func (n *network) open(choose func(signature) ([]string, error)) error {
	begin := time.Now()
	if n.isOpen() {
		return n.model.wrap(errors.New("already started"))
	}
	data, err := n.model.read()
	if err != nil {
		return err
	}
	if err := n.rt.retain(); err != nil {
		return err
	}
	session, outputs, err := n.load(data, choose)
	releaseMemory()
	if err != nil {
		_ = process.release()
		return n.model.wrap(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.session, n.outputs, n.closing = session, outputs, false
	n.running, n.idle = map[*ort.RunOptions]struct{}{}, make(chan struct{})
	n.rt.log.Info("loaded model", "model", n.model.Manifest.Name, "kind", n.model.Manifest.Kind,
		"sha256", n.model.Manifest.SHA256, "duration_ms", time.Since(begin).Milliseconds())
	return nil
}

func (n *network) isOpen() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.session != nil
}

// load creates the session from the verified file, optimised by package rewrite.
func (n *network) load(data []byte, choose func(signature) ([]string, error)) (*ort.DynamicAdvancedSession, int, error) {
	rewritten := n.rewrite(data)
	s, err := signatureOf(data, rewritten)
	if err != nil {
		return nil, 0, err
	}
	names, err := choose(s)
	if err != nil {
		return nil, 0, err
	}
	if rewritten != nil {
		data = rewritten.Bytes()
	}
	options, err := sessionOptions(n.threads)
	if err != nil {
		return nil, 0, err
	}
	defer options.Destroy()
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(data, []string{s.inputs[0].Name}, names, options)
	if err != nil {
		return nil, 0, notLoadable(err)
	}
	return session, len(names), nil
}

// rewrite returns the optimised network, nil where it is not supported by package
// rewrite and runs as it is.
func (n *network) rewrite(data []byte) *rewrite.Graph {
	if n.unmodified {
		return nil
	}
	g, err := rewrite.Network(data)
	if err != nil {
		return nil
	}
	return g
}

// run runs the network on one input tensor and returns its outputs. When ctx ends first
// the run is terminated after the current node.
func (n *network) run(ctx context.Context, shape ort.Shape, data []float32) ([]tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	options, err := n.enter()
	if err != nil {
		return nil, err
	}
	defer n.leave(options)
	stop := context.AfterFunc(ctx, func() { n.terminate(options) })
	defer stop()

	input, err := ort.NewTensor(shape, data)
	if err != nil {
		return nil, err
	}
	defer destroy(input)
	outputs := make([]ort.Value, n.outputs)
	defer func() { destroy(outputs...) }()
	err = n.session.RunWithOptions([]ort.Value{input}, outputs, options)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	}
	return floats(outputs)
}

// enter registers a run, so that the session stays until leave.
func (n *network) enter() (*ort.RunOptions, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session == nil || n.closing {
		return nil, errNotOpen
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return nil, err
	}
	n.running[options] = struct{}{}
	return options, nil
}

// leave unregisters a run.
func (n *network) leave(options *ort.RunOptions) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.running, options)
	_ = options.Destroy()
	if n.closing && len(n.running) == 0 {
		close(n.idle)
	}
}

// terminate cancels a run that has not left yet.
func (n *network) terminate(options *ort.RunOptions) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.running[options]; ok {
		_ = options.Terminate()
	}
}

// close refuses new runs, waits for those in flight and frees the session. When
// ctx ends first, the runs in flight are cancelled and waited for. Closing a network
// that is not open does nothing.
func (n *network) close(ctx context.Context) error {
	if !n.beginClose() {
		return nil
	}
	select {
	case <-n.idle:
	case <-ctx.Done():
		n.terminateAll()
		<-n.idle
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.session.Destroy()
	n.session = nil
	if released := process.release(); err == nil {
		err = released
	}
	return err
}

func (n *network) beginClose() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session == nil || n.closing {
		return false
	}
	n.closing = true
	if len(n.running) == 0 {
		close(n.idle)
	}
	return true
}

func (n *network) terminateAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for options := range n.running {
		_ = options.Terminate()
	}
}

// sessionOptions returns the settings of a session; the caller destroys them.
//
// The memory arena stays on and memory patterns are off: a pattern is kept for
// every input shape ever seen, and pictures come in any shape. Measured with
// YuNet on a hundred pictures of varied size up to 640 pixels: 67 MB resident
// at 11 ms a picture; with patterns 80 to 90 MB; without the arena 145 to 190 MB
// and slower. The arena keeps its largest extent: about the concurrent calls
// times the largest input.
//
// Threads do not spin while they wait for work: with two threads and a call
// every 20 ms, spinning burnt 15 ms of processor time a call where 1.7 ms do.
func sessionOptions(threads int) (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	for _, set := range []func() error{
		func() error { return options.SetIntraOpNumThreads(max(1, threads)) },
		func() error { return options.SetInterOpNumThreads(1) },
		func() error { return options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
		func() error { return options.SetMemPattern(false) },
	} {
		if err := set(); err != nil {
			_ = options.Destroy()
			return nil, err
		}
	}
	return options, nil
}

// floats returns the elements of float32 tensors. The binding has copied them into Go
// memory, which outlives the tensors' handles.
func floats(values []ort.Value) ([]tensor, error) {
	tensors := make([]tensor, len(values))
	for i, value := range values {
		t, ok := value.(*ort.Tensor[float32])
		if !ok {
			return nil, fmt.Errorf("output %d is not a float32 tensor", i)
		}
		tensors[i] = tensor{shape: t.GetShape(), data: t.GetData()}
	}
	return tensors, nil
}

// destroy frees values; nil ones were never allocated.
func destroy(values ...ort.Value) {
	for _, value := range values {
		if value != nil {
			_ = value.Destroy()
		}
	}
}
