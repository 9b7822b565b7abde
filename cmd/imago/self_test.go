package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// eventually bounds waiting for another process, which is looked at every tick.
const eventually, tick = 60 * time.Second, 10 * time.Millisecond

// asImago in the environment makes a test binary imago.
const asImago = "IMAGO_TEST_AS_IMAGO=1"

// program is the test binary under the name imago, in a folder for PATH.
type program struct{ folder string }

func self(t *testing.T) program {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	p := program{t.TempDir()}
	require.NoError(t, os.Symlink(path, filepath.Join(p.folder, "imago")))
	return p
}

// command prepares a run of imago in an environment of its own.
func (p program) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(p.folder, "imago"), args...)
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + os.Getenv("PATH"), asImago}
	return cmd
}
