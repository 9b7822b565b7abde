package memstore

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/ports"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func closeStore(tb testing.TB, s *Store) {
	tb.Helper()
	// The test's context has ended when clean-ups run.
	require.NoError(tb, s.Close(context.WithoutCancel(tb.Context())))
}

func testSpace(dimension int) ports.Space {
	return ports.Space{Model: "tiny", Digest: strings.Repeat("0f", 32), Preprocessing: "RGB", Dimension: dimension}
}
