package diskspace

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The folders of a file may still be missing, as on the first start.
func TestRequire(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{"x.db", "data/x.db", "a/b/c/x.db", filepath.Join(t.TempDir(), "a", "b", "x.db")} {
		require.NoError(t, Require(path, 1), path)
		require.ErrorContains(t, Require(path, math.MaxUint64), "is full", path)
	}
}
