package exactindex

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// requireErased checks that no row beyond those of the items that are left holds
// anything.
func requireErased(t *testing.T, x *Index[*thing], left int) {
	t.Helper()
	used := 0
	for _, c := range x.writes.chunks {
		for row := range chunkRows {
			if c.items[row] != nil {
				used++
				continue
			}
			require.Equal(t, make([]float32, x.shape.dimension), c.vector(x.shape, row))
			for g := range x.shape.groups {
				at := x.shape.groupAt(row/blockRows, g) + row%blockRows*4
				require.Equal(t, make([]byte, 4), c.codes[at:at+4])
			}
			require.Zero(t, c.addedIn[row])
		}
	}
	require.Equal(t, left, used)
}

// Removed vectors leave nothing behind, memory is used again and given back, and what is
// left stays right across the edges of chunks.
func TestRemove(t *testing.T) {
	const n, dimension = 6*chunkRows + 10, 4
	rng := seeded(6)
	things := crowd(rng, generate(n, func(int) []float32 { return fixture.UnitVector(rng, dimension) }))
	x := filled(things, dimension, 1)
	require.Len(t, x.chunks, 7)
	order := rng.Perm(n)
	for step, i := range order {
		x.Remove(things[i])
		x.Publish()
		if step%500 == 0 || step > n-20 {
			for _, left := range order[step+1:] {
				require.Equal(t, things[left].vector, x.Vector(things[left]))
			}
			requireErased(t, x, n-step-1)
		}
	}
	require.LessOrEqual(t, len(x.chunks), 3, "two chunks may be vacant")
	again := things[:500]
	for _, item := range again {
		x.Add(item, item.vector)
	}
	x.Publish()
	require.LessOrEqual(t, len(x.chunks), 3, "vacant rows are used first")
	requireBrute(t, rng, x, again)
}

// What is not published is not found, whatever the minimum.
func TestPublish(t *testing.T) {
	x := New[*thing](2, 1)
	ada, bob := &thing{group: "ada", vector: []float32{1, 0}}, &thing{group: "bob", vector: []float32{0, 1}}
	find := func() (groups []string) {
		hits, err := x.Search(t.Context(), []float32{1, 0}, 10, -1)
		require.NoError(t, err)
		for _, h := range hits {
			groups = append(groups, h.Item.group)
		}
		return groups
	}
	x.Add(ada, ada.vector)
	require.Empty(t, find())
	x.Publish()
	require.Equal(t, []string{"ada"}, find())
	x.Remove(ada)
	x.Add(bob, bob.vector)
	require.Equal(t, []string{"ada"}, find())
	x.Publish()
	require.Equal(t, []string{"bob"}, find())
	requireErased(t, x, 1)
	x.Add(ada, ada.vector)
	x.Remove(ada)
	x.Publish()
	require.Equal(t, []string{"bob"}, find())
}

// A row that a running search may see keeps its memory until that has ended.
func TestEraseWaits(t *testing.T) {
	things := crowd(seeded(1), generate(5, func(i int) []float32 { return fixture.UnitVector(seeded(uint64(i)), 8) }))
	x := filled(things, 8, 1)
	j := x.newJob()
	j.prepare(x.shape, things[0].vector, 10, -1)
	require.True(t, x.startOrWait(j))
	x.Remove(things[0])
	x.Publish()
	require.Len(t, x.writes.dead, 1)
	hits, err := x.runSingle(t.Context(), j)
	require.NoError(t, err)
	require.Equal(t, brute(things, things[0].vector, 10, -1), hits)
	require.Empty(t, x.writes.dead)
	requireErased(t, x, 4)
}

// countdown is a context that ends when it was looked at some times.
type countdown struct {
	context.Context
	looks int
}

func (c *countdown) Err() error {
	if c.looks--; c.looks < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// A search looks at its context once a chunk, and the index works on after it gave up.
func TestSearchGivenUp(t *testing.T) {
	rng := seeded(3)
	things := crowd(rng, generate(10*chunkRows, func(int) []float32 { return fixture.UnitVector(rng, 4) }))
	x := filled(things, 4, 1)
	for _, looks := range []int{0, 1, 5, 10} {
		_, err := x.Search(&countdown{t.Context(), looks}, things[0].vector, 10, -1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	requireBrute(t, rng, x, things)
}

// A search that waits for a batch returns when its context ends, and that batch answers
// the others.
func TestWaitGivenUp(t *testing.T) {
	rng := seeded(4)
	things := crowd(rng, generate(3000, func(int) []float32 { return fixture.UnitVector(rng, 16) }))
	x := filled(things, 16, 2)
	j := x.newJob()
	j.prepare(x.shape, things[0].vector, 10, 0.2)
	require.True(t, x.startOrWait(j))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	errs := make([]error, 40)
	hits := make([][]Hit[*thing], len(errs))
	for i := range errs {
		wg.Go(func() {
			with := t.Context()
			if i%2 == 0 {
				with = ctx
			}
			hits[i], errs[i] = x.Search(with, things[i].vector, 3, 0.1)
		})
	}
	cancel()
	_, err := x.runSingle(t.Context(), j)
	require.NoError(t, err)
	wg.Wait()
	for i, err := range errs {
		if i%2 == 0 && err != nil {
			require.ErrorIs(t, err, context.Canceled)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, brute(things, things[i].vector, 3, 0.1), hits[i])
	}
}

// A search allocates its answer and nothing else, whether alone or in company.
func TestAllocations(t *testing.T) {
	rng := seeded(5)
	things := crowd(rng, generate(5000, func(int) []float32 { return fixture.UnitVector(rng, 64) }))
	x := filled(things, 64, 1)
	search := func() {
		if _, err := x.Search(context.Background(), things[7].vector, 10, 0.4); err != nil {
			panic(err)
		}
	}
	require.LessOrEqual(t, testing.AllocsPerRun(50, search), 1.0)
	top := func() {
		if _, err := x.Search(context.Background(), things[7].vector, 10, -1); err != nil {
			panic(err)
		}
	}
	require.LessOrEqual(t, testing.AllocsPerRun(50, top), 1.0)
}

// An empty index answers, and so does one that has become empty.
func TestEmpty(t *testing.T) {
	x := New[*thing](8, 0)
	v := fixture.UnitVector(seeded(1), 8)
	for range 2 {
		hits, err := x.Search(t.Context(), v, 10, -1)
		require.NoError(t, err)
		require.Empty(t, hits)
		item := &thing{vector: v}
		x.Add(item, v)
		x.Publish()
		x.Remove(item)
		x.Publish()
	}
}

// The memory beside the float32 numbers is what the documentation says.
func TestMemory(t *testing.T) {
	for dimension, extra := range map[int]int{128: 96, 512: 300} {
		x := New[*thing](dimension, 1)
		require.Zero(t, x.Bytes())
		x.Add(&thing{}, make([]float32, dimension))
		x.Publish()
		require.EqualValues(t, chunkRows*(extra+4*dimension), x.Bytes())
		require.LessOrEqual(t, float64(extra+4*dimension), 1.2*float64(4*dimension))
	}
}
