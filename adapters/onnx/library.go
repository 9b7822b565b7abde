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
	origin   string // where the path comes from, for messages
	required bool   // configured: it is the only candidate
}

// exists checks that the file is there. A bare name is left to the system's library
// search.
func (c candidate) exists() error {
	if !strings.ContainsRune(c.path, filepath.Separator) {
		return nil
	}
	info, err := os.Stat(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("not found")
	}
	if err == nil && !info.Mode().IsRegular() {
		return errors.New("is not a regular file") // the loader would block on a pipe
	}
	return nil
}

// candidates lists where the library is looked for, best first: the configured
// path, the environment variable, beside the executable, ../lib beside it, and
// the system's library search. A configured path is the only candidate.
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
