package onnx

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// wantVersion is the ONNX Runtime release that the binding was made for; any patch
// release of it works. The binding itself would accept some others.
const wantVersion = "1.27"

// process counts the users of ONNX Runtime's environment. The binding has one
// environment per process, in package variables, so the counter is global as well.
var process environment

// environment is a reference count: the environment is created for the first user and
// destroyed after the last.
type environment struct {
	mu      sync.Mutex
	users   int
	library string
}

// acquire adds a user, loading the first of the candidates that works when
// there is none yet. It returns the library in use.
func (e *environment) acquire(candidates []candidate) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users == 0 {
		library, err := loadFirst(candidates)
		if err != nil {
			return "", err
		}
		e.library = library
	} else if c := candidates[0]; c.required && c.path != e.library {
		return "", fmt.Errorf("onnx: %s names %s, but this process already runs on %s and cannot load a second ONNX Runtime", c.origin, c.path, e.library)
	}
	e.users++
	return e.library, nil
}

// retain adds a user to an environment that another user keeps alive.
func (e *environment) retain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.users++
}

// release removes a user and destroys the environment after the last.
func (e *environment) release() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users--; e.users > 0 {
		return nil
	}
	if err := ort.DestroyEnvironment(); err != nil {
		return fmt.Errorf("onnx: destroy environment: %w", err)
	}
	return nil
}

// loadFirst loads one of the candidates.
func loadFirst(candidates []candidate) (string, error) {
	tried := make([]string, 0, len(candidates))
	for _, c := range candidates {
		err := c.load()
		if err == nil {
			return c.path, nil
		}
		tried = append(tried, fmt.Sprintf("%s (%s): %v", c.path, c.origin, err))
	}
	return "", fmt.Errorf("onnx: no usable ONNX Runtime %s library; tried %s; install ONNX Runtime %s and name its libonnxruntime.so in inference.library or %s",
		wantVersion, strings.Join(tried, "; "), wantVersion, libraryVariable)
}

// load loads this candidate into the process.
func (c candidate) load() error {
	if err := c.exists(); err != nil {
		return err
	}
	ort.SetSharedLibraryPath(c.path)
	// Errors of the runtime are returned; without this it would write them to standard
	// error as well.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause
		}
		return err
	}
	if err := checkVersion(ort.GetVersion()); err != nil {
		_ = ort.DestroyEnvironment()
		return err
	}
	return nil
}

// checkVersion checks that a runtime of this version works with the binding.
func checkVersion(version string) error {
	if version == wantVersion || strings.HasPrefix(version, wantVersion+".") {
		return nil
	}
	return fmt.Errorf("is ONNX Runtime %s, but %s is needed", version, wantVersion)
}
