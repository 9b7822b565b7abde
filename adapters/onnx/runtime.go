package onnx

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"imago/config"
)

// Runtime makes ONNX Runtime available to the detectors and embedders that are
// built on it. The environment of ONNX Runtime is one for the whole process;
// any number of Runtimes, one after the other or at once, share it. It is
// destroyed after the last of them and the last network on them is closed, so
// closing a Runtime early does no harm. It is safe for concurrent use.
type Runtime struct {
	library string
	log     *slog.Logger

	mu      sync.Mutex
	started bool
}

// NewRuntime returns a Runtime for the library that cfg.Library names; where it
// is empty, the one that IMAGO_ONNXRUNTIME_LIB names; where that is empty too,
// libonnxruntime.so beside the executable or in ../lib from there, or one that
// the system finds.
func NewRuntime(cfg config.Inference, log *slog.Logger) *Runtime {
	return &Runtime{library: cfg.Library, log: log.With("component", "onnx")}
}

// Start loads the library. It must be an ONNX Runtime 1.27; otherwise the error lists
// the candidates and what to do.
func (r *Runtime) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return errors.New("onnx: the runtime is already started")
	}
	library, err := process.acquire(candidates(r.library))
	if err != nil {
		return err
	}
	r.started = true
	r.log.Info("loaded ONNX Runtime", "library", library)
	return nil
}

// Close releases the environment. Networks that are still open keep it alive until they
// are closed, but no new one can be opened on this Runtime. Closing
// a Runtime that is not started does nothing.
func (r *Runtime) Close(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started {
		return nil
	}
	r.started = false
	return process.release()
}

// retain keeps the environment alive for one network, until process.release.
func (r *Runtime) retain() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started {
		return errors.New("onnx: the runtime is not started")
	}
	process.retain()
	return nil
}

// Version returns the version of ONNX Runtime, as in 1.27.0, and nothing while
// the Runtime is not started.
func (r *Runtime) Version() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started {
		return ""
	}
	return ort.GetVersion()
}
