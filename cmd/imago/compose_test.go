package main

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/imaging"
	"imago/core/picturefile"
)

// Commands refuse a file in the words of the API.
func TestFilesAreJudgedAsOverHTTP(t *testing.T) {
	require.Equal(t, imaging.ReasonFormat, picturefile.ReasonFormat)
	require.Equal(t, imaging.ReasonEmpty, picturefile.ReasonEmpty)
}

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
