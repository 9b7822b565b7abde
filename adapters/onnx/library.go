package onnx

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// libraryVariable names the environment variable that says where ONNX Runtime
// is.
const libraryVariable = "IMAGO_ONNXRUNTIME_LIB"

// candidate is a place where the ONNX Runtime library may be.
type candidate struct {
	path     string
	origin   string // who named it, for messages
	required bool   // somebody named it: it is the only candidate
}

// exists reports whether the file is there. A bare name is left to the system's
// library search.
func (c candidate) exists() error {
	if !strings.ContainsRune(c.path, filepath.Separator) {
		return nil
	}
	info, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("is not there")
	}
	if err == nil && !info.Mode().IsRegular() {
		return errors.New("is not a regular file") // whose end the loader would wait for
	}
	return nil
}

// candidates lists where the library is looked for, best first: the configured
// path, the environment variable, beside the executable, ../lib beside it, and
// the system's library search. One that was named by somebody is the only one.
func candidates(configured string) []candidate {
	if configured != "" {
		return []candidate{{configured, "inference.library", true}}
	}
	if path := os.Getenv(libraryVariable); path != "" {
		return []candidate{{path, libraryVariable, true}}
	}
	var found []candidate
	if executable, err := os.Executable(); err == nil {
		dir := filepath.Dir(executable)
		found = append(found,
			candidate{path: filepath.Join(dir, "libonnxruntime.so"), origin: "beside the executable"},
			candidate{path: filepath.Join(dir, "..", "lib", "libonnxruntime.so"), origin: "in lib beside the executable's folder"})
	}
	return append(found,
		candidate{path: "libonnxruntime.so.1", origin: "the system's libraries"},
		candidate{path: "libonnxruntime.so", origin: "the system's libraries"})
}
