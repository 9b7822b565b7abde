package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore"
	"imago/adapters/pgstore"
	"imago/config"
	"imago/core/vectorstore"
	"imago/ports"
	"imago/test/fixture"
)

// BenchmarkResident opens a gallery of IMAGO_BENCH_FACES faces as a start does, in the memory
// store and as a copy of PostgreSQL, one after the other, and reports by how many bytes a face the process has
// grown: with what the reading has left behind, and after a collection of garbage.
func BenchmarkResident(b *testing.B) {
	people := crowd(galleryFaces(b), true)
	shipped := config.Default().Store
	memory, pg := shipped.Memory, shipped.PGVector
	memory.Path = filepath.Join(b.TempDir(), "imago.db")
	pg.DSN = config.Secret(durablePostgres(b).DSN())
	for name, driver := range map[string]func() ports.StoreDriver{
		"memory":   func() ports.StoreDriver { return memstore.New(memory, space, quiet) },
		"pgvector": func() ports.StoreDriver { return pgstore.Searched(pgstore.New(pg, space, quiet)) },
	} {
		filled := vectorstore.New("bench", driver(), space)
		require.NoError(b, filled.Start(b.Context()))
		pour(b, filled, people)
		require.NoError(b, filled.Close(context.WithoutCancel(b.Context())))
		debug.FreeOSMemory()
		before := resident(b)
		s := vectorstore.New("bench", driver(), space)
		require.NoError(b, s.Start(b.Context()))
		fixture.Until(b, "the faces are in memory", func() bool { return s.CheckHealth(b.Context()) == nil })
		grown := resident(b) - before
		debug.FreeOSMemory()
		b.ReportMetric(float64(grown)/float64(len(people)), name+"-B/face")
		b.ReportMetric(float64(resident(b)-before)/float64(len(people)), name+"-B/face-collected")
		require.NoError(b, s.Close(context.WithoutCancel(b.Context())))
	}
	b.ReportMetric(0, "ns/op")
}

// resident returns the bytes of this process in memory (proc(5), VmRSS).
func resident(b *testing.B) int64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	require.True(b, found)
	var kB int64
	_, err = fmt.Sscan(rest, &kB)
	require.NoError(b, err)
	return kB << 10
}
