package contract

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// The cases of this file change memory that went into a store or came out of
// it, which must not change what the store holds.

func memoryVectorIn(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for i, mode := range []ports.Mode{ports.NewUser(), ports.FurtherFace(ports.Everybody()), ports.Replacement(ports.Everybody())} {
		r := face("ada", string(rune('f'+i)), east)
		require.NoError(t, s.Add(t.Context(), r, mode))
		copy(r.Vector, west)
		found := search(t, s, east, 1, 0.9)
		require.Len(t, found, 1, "the store kept the caller's vector, mode %d", mode)
	}
	require.Empty(t, search(t, s, west, 1, 0.5))
}

// memoryVectorUntouched checks the other direction: the caller's vectors are
// only read.
func memoryVectorUntouched(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(16))
	v := sphereVector(seeded(8), 16)
	r := face("ada", "f", v)
	require.NoError(t, s.Add(t.Context(), r, ports.NewUser()))
	require.Equal(t, v, r.Vector)
	q := slices.Clone(v)
	require.Len(t, search(t, s, q, 1, 0.9), 1)
	require.Equal(t, v, q)
}

func memoryGet(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", east)
	got, err := s.Get(t.Context(), person("ada"))
	require.NoError(t, err)
	spoil(got)
	requireUnspoilt(t, s)
}

func memoryScan(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", east)
	spoil(scanAll(t, s, people, ""))
	requireUnspoilt(t, s)
}

func memorySearch(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	enrol(t, s, "ada", east)
	further(t, s, "ada", "g", east)
	found := search(t, s, east, 10, -1)
	require.Len(t, found, 1)
	found[0] = ports.Match{UserID: "eve"}
	requireUnspoilt(t, s)
}

// spoil overwrites everything that a caller can reach through records,
// including the spare capacity behind a vector.
func spoil(records []ports.Record) {
	for i := range records {
		v := records[i].Vector[:cap(records[i].Vector)]
		for j := range v {
			v[j] = -1
		}
		records[i] = ports.Record{}
	}
}

func requireUnspoilt(t *testing.T, s ports.VectorStore) {
	t.Helper()
	want := []ports.Record{face("ada", "f", east), face("ada", "g", east)}
	got, err := s.Get(t.Context(), person("ada"))
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, want, scanAll(t, s, people, ""))
	found := search(t, s, east, 10, -1)
	require.Equal(t, []string{"ada"}, usersOf(found))
	require.InDelta(t, 1, found[0].Score, rounding)
}
