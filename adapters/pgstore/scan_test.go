package pgstore

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// A scan of many faces yields each once and in order, whatever user a page ends
// in, and takes no more memory than a few pages. It measures, and therefore runs
// alone.
func TestScanOfMany(t *testing.T) {
	const records, dimension = 50000, 16
	s := fresh(t, dimension)
	rng := seeded(1)
	vectors := make([][]float32, 100)
	for i := range vectors {
		vectors[i] = fixture.UnitVector(rng, dimension)
	}
	pour(t, s, manyFaces(records, vectors))
	before, most := heap(), uint64(0)
	n := 0
	for r, err := range s.Scan(t.Context(), ports.Everything(users, "")) {
		require.NoError(t, err)
		require.Equal(t, manyFaceKey(n), r.UserID+"/"+r.FaceID)
		if n%10000 == 0 {
			most = max(most, heap())
		}
		n++
	}
	require.Equal(t, records, n)
	// All records together would take more than 10 MB.
	require.Less(t, most, before+3<<20)

	n = 0
	for r, err := range s.Scan(t.Context(), ports.Everything(users, "user-16000")) {
		require.NoError(t, err)
		require.Equal(t, manyFaceKey(48000+n), r.UserID+"/"+r.FaceID)
		n++
	}
	require.Equal(t, records-48000, n)
}

// manyFaces returns faces in the order of a scan, three for each user.
func manyFaces(n int, vectors [][]float32) []ports.Record {
	records := make([]ports.Record, n)
	for i := range records {
		records[i] = record(fmt.Sprintf("user-%05d", i/3), fmt.Sprint(i%3), vectors[i%len(vectors)])
	}
	return records
}

func manyFaceKey(i int) string { return fmt.Sprintf("user-%05d/%d", i/3, i%3) }

// heap returns the bytes in use after collecting what is not.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
