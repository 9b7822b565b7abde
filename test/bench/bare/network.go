package bare

import (
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// Network is a network in an ONNX Runtime session with the runtime's own settings
// but for the threads of a run. Its environment must have been made by somebody else.
// It is safe for concurrent use.
type Network struct {
	session *ort.DynamicAdvancedSession
	outputs int
}

// Open loads the network in a file with one input, for runs of so many threads.
// Close frees it.
func Open(path string, threads int) (*Network, error) {
	inputs, outputs, err := ort.GetInputOutputInfo(path)
	if err != nil {
		return nil, fmt.Errorf("bare: %w", err)
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("bare: %w", err)
	}
	defer options.Destroy()
	if err := options.SetIntraOpNumThreads(threads); err != nil {
		return nil, fmt.Errorf("bare: %w", err)
	}
	var names []string
	for _, o := range outputs {
		names = append(names, o.Name)
	}
	session, err := ort.NewDynamicAdvancedSession(path, []string{inputs[0].Name}, names, options)
	if err != nil {
		return nil, fmt.Errorf("bare: %w", err)
	}
	return &Network{session, len(names)}, nil
}

// Close frees the network. No run may be on its way.
func (n *Network) Close() error { return n.session.Destroy() }

// Run is a network over one input with all tensors ready. It is used by one
// goroutine at a time.
type Run struct {
	network         *Network
	inputs, outputs []ort.Value
}

// Prepare makes the tensors of a run over batch x 3 x height x width numbers, which
// are the same in every run, and runs it once. A network that does not take such a
// batch is an error.
func (n *Network) Prepare(batch, height, width int) (*Run, error) {
	input, err := ort.NewEmptyTensor[float32](ort.NewShape(int64(batch), 3, int64(height), int64(width)))
	if err != nil {
		return nil, fmt.Errorf("bare: %w", err)
	}
	for i := range input.GetData() {
		input.GetData()[i] = float32(i * 7919 % 256)
	}
	first := make([]ort.Value, n.outputs)
	if err := n.session.Run([]ort.Value{input}, first); err != nil {
		return nil, fmt.Errorf("bare: %w", err)
	}
	r := &Run{network: n, inputs: []ort.Value{input}}
	for _, o := range first {
		ready, err := ort.NewEmptyTensor[float32](o.GetShape())
		if err != nil {
			return nil, fmt.Errorf("bare: %w", err)
		}
		r.outputs = append(r.outputs, ready)
		if err := o.Destroy(); err != nil {
			return nil, fmt.Errorf("bare: %w", err)
		}
	}
	return r, nil
}

// Do runs the network once.
func (r *Run) Do() error { return r.network.session.Run(r.inputs, r.outputs) }

// Close frees the tensors.
func (r *Run) Close() error {
	for _, v := range append(r.inputs, r.outputs...) {
		if err := v.Destroy(); err != nil {
			return err
		}
	}
	return nil
}
