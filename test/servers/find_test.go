package servers

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder is a test that records how it was ended and goes on.
type recorder struct {
	testing.TB
	end string
}

func (w *recorder) Helper() {}
func (w *recorder) Skipf(format string, args ...any) {
	w.end = "skipped: " + fmt.Sprintf(format, args...)
}
func (w *recorder) Fatalf(format string, args ...any) {
	w.end = "failed: " + fmt.Sprintf(format, args...)
}

func TestNeed(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		ci, require string
		err         error
		want        string
	}{
		"there":              {"true", "pgvector,milvus", nil, ""},
		"absent":             {"", "", errAbsent, "skipped: pgvector: IMAGO_TEST_SERVERS names no folder"},
		"another required":   {"", "milvus", errAbsent, "skipped: "},
		"absent, required":   {"", "milvus,pgvector", errAbsent, "failed: pgvector: IMAGO_TEST_SERVERS names no folder"},
		"absent, wrapped":    {"", "pgvector", fmt.Errorf("finding: %w", errAbsent), "failed: pgvector: finding: "},
		"absent where CI is": {"1", "", errAbsent, "failed: "},
		"broken":             {"", "", broken, "failed: pgvector: broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CI", c.ci)
			t.Setenv("IMAGO_REQUIRE", c.require)
			w := &recorder{TB: t}
			Need(w, PGVector, c.err)
			require.True(t, strings.HasPrefix(w.end, c.want), w.end)
			require.Equal(t, c.want == "", w.end == "")
		})
	}
}

func TestInstalled(t *testing.T) {
	t.Setenv("IMAGO_TEST_SERVERS", "")
	_, err := installed("milvus")
	require.ErrorIs(t, err, errAbsent)
	t.Setenv("IMAGO_TEST_SERVERS", "relative")
	_, err = installed()
	require.ErrorContains(t, err, "not an absolute path")
	folder := t.TempDir()
	t.Setenv("IMAGO_TEST_SERVERS", folder)
	_, err = installed("milvus")
	require.Error(t, err)
	require.NotErrorIs(t, err, errAbsent, "a folder that is named and empty is a mistake")
	path, err := installed()
	require.NoError(t, err)
	require.Equal(t, folder, path)
}

func TestFreePorts(t *testing.T) {
	ports, err := freePorts(20)
	require.NoError(t, err)
	slices.Sort(ports)
	require.Len(t, slices.Compact(ports), 20)
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
	require.NoError(t, err)
	require.False(t, free(ports[0]), "somebody listens on another interface")
	require.NoError(t, taken.Close())
	require.True(t, free(ports[0]))
}

func TestTail(t *testing.T) {
	var log tail
	for range 1000 {
		_, _ = log.Write([]byte("noise and more noise\n"))
	}
	_, _ = log.Write([]byte("the reason\n"))
	require.True(t, strings.HasSuffix(log.String(), "noise\nthe reason"))
	require.LessOrEqual(t, len(log.String()), tailBytes)
}
