package main

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever sets GOMAXPROCS has what was set.
func TestAllowOverlap(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "3")
	allowOverlap()
	require.Equal(t, before, runtime.GOMAXPROCS(0))
	require.NoError(t, os.Unsetenv("GOMAXPROCS"))
	allowOverlap()
	require.Equal(t, 2*before, runtime.GOMAXPROCS(0))
}
