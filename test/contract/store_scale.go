package contract

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

const (
	// scaleRecords is how many faces the suite of scale writes. Their vectors
	// alone take 25.6 MB.
	scaleRecords = 50_000
	// scanHeap is how much the heap may grow while they are scanned: pages of a
	// few megabytes as they come from the network and as records.
	scanHeap = 12 << 20
)

// VectorStoreScale checks what shows in large collections only. It looks at the
// heap of the process, so no other test may run at the same time.
func VectorStoreScale(t *testing.T, h StoreHarness) {
	h.Parallel = false
	runStoreCases(t, h, scaleStoreCases())
}

// scaleStoreCases is the table of contents of VectorStoreScale.
func scaleStoreCases() []storeCase {
	return []storeCase{{"ScanInConstantMemory", scanInConstantMemory}}
}

// scanInConstantMemory reads a large collection, which export, migration and
// verification do with collections of any size.
func scanInConstantMemory(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(benchDimension))
	records := make([]ports.Record, scaleRecords)
	rng := seeded(15)
	for i := range records {
		records[i] = face(fmt.Sprintf("user-%05d", i), "f", sphereVector(rng, benchDimension))
	}
	if h.Fill == nil {
		fill(t, s, records, ports.NewUser())
	} else {
		h.Fill(t, s, records)
	}
	last := records[len(records)-1]
	records = nil

	before, seen, grown := heap(), 0, uint64(0)
	for r, err := range s.Scan(t.Context(), ports.Everything(people, "")) {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("user-%05d", seen), r.UserID)
		if seen%1000 == 0 {
			grown = max(grown, max(heap(), before)-before)
		}
		if seen++; seen == scaleRecords {
			require.Equal(t, last, r)
		}
	}
	require.Equal(t, scaleRecords, seen)
	require.Less(t, grown, uint64(scanHeap), "the heap grew by so many bytes")
	runtime.KeepAlive(s) // what a store in RAM gives back would hide the growth
}

// heap returns the bytes that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
