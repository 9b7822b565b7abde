package exactindex

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// What a write allocates does not depend on how many rows there are: growing
// touches no row twice, and replacing one allocates nothing at all.
func TestWritesCostTheSameAtAnySize(t *testing.T) {
	const dimension, n = 16, 64 * chunkRows
	rng := seeded(21)
	v := fixture.UnitVector(rng, dimension)
	things := make([]*thing, n)
	for i := range things {
		things[i] = &thing{group: strconv.Itoa(i)}
	}
	x := New[*thing](dimension, 1)
	for part := range 4 {
		before := allocated()
		for _, item := range things[part*n/4 : (part+1)*n/4] {
			x.Add(item, v)
			x.Publish()
		}
		grew := allocated() - before
		// Memory is taken for a quarter more rows than there are at a time.
		require.LessOrEqual(t, grew, uint64(n/4+n/4)*bytesOfRow(x.shape), "quarter %d", part)
	}
	i := 0
	require.Zero(t, testing.AllocsPerRun(3*chunkRows, func() {
		x.Remove(things[i])
		x.Add(things[i], v)
		x.Publish()
		i++
	}))
}

// bytesOfRow is what a row takes, and a little more for what chunks share.
func bytesOfRow(s shape) uint64 {
	c := newChunk[*thing](s, 0, &slabs{})
	return uint64((4*len(c.vectors)+c.overhead())/chunkRows + 16)
}

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// However many rows are removed at once, each call erases one batch of them
// only, and all are erased soon.
func TestEraseShares(t *testing.T) {
	const n = 3*chunkRows + 1
	things := crowd(seeded(22), generate(n+1, func(i int) []float32 { return fixture.UnitVector(seeded(uint64(i)), 4) }))
	x := filled(things, 4, 1)
	j := x.newJob()
	j.prepare(x.shape, things[0].vector, 10, -1)
	require.True(t, x.startOrWait(j))
	for _, item := range things[:n] {
		x.Remove(item)
	}
	x.Publish()
	require.Len(t, x.writes.dead, n)

	// The search holds the version; without it the first batch would be erased.
	x.batch.version = x.version
	x.writing.Lock()
	require.True(t, x.erase())
	require.Equal(t, eraseBatch, x.writes.erased)
	x.writing.Unlock()

	_, err := x.runSingle(t.Context(), j)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		x.writing.Lock()
		defer x.writing.Unlock()
		return len(x.writes.dead) == 0
	}, 30*time.Second, time.Millisecond)
	requireErased(t, x, 1)
	requireBrute(t, seeded(1), x, things[n:])
}
