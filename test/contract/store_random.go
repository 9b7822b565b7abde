package contract

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// searchExactAtRandom does the same random writes to the store and to the
// oracle and compares every answer. Vectors are of the lattice, so scores are
// exact, ties are many and there is nothing to tolerate.
func searchExactAtRandom(t *testing.T, h StoreHarness) {
	s := h.Open(t, storeSpace(16))
	rng := seeded(6)
	want := &oracle{}
	for step := range 400 {
		randomWrite(t, s, want, rng)
		if step%4 != 0 {
			continue
		}
		q := randomQuery(rng)
		found, err := s.Search(t.Context(), q)
		require.NoError(t, err)
		want.requireExact(t, q, found)
	}
	for _, collection := range []string{people, others} {
		require.Equal(t, want.scan(collection, ""), scanAll(t, s, collection, ""))
		require.Equal(t, want.count(collection), count(t, s, collection))
	}
}

// randomWrite does one random write to both and compares the answers.
func randomWrite(t *testing.T, s ports.VectorStore, want *oracle, rng *rand.Rand) {
	t.Helper()
	r := randomRecord(rng)
	if rng.IntN(8) == 0 {
		owners := []ports.Owners{ports.Everybody(), ports.OwnedBy(r.Owner)}[rng.IntN(2)]
		removal := randomRemoval(rng, r)
		require.ErrorIs(t, s.Remove(t.Context(), removal, owners), want.remove(removal, owners))
		return
	}
	kind, owners := rng.IntN(5), ports.Everybody()
	if kind > 1 && rng.IntN(4) == 0 {
		owners = ports.OwnedBy(r.Owner)
	}
	mode := []ports.Mode{
		ports.NewUser(), ports.NewUser(), ports.FurtherFace(owners), ports.FurtherFace(owners), ports.Replacement(owners),
	}[kind]
	require.ErrorIs(t, s.Add(t.Context(), r, mode), want.add(r, mode))
}

// randomRecord makes few enough users and faces that writes collide often.
func randomRecord(rng *rand.Rand) ports.Record {
	r := face(fmt.Sprintf("user-%d", rng.IntN(40)), fmt.Sprintf("face-%d", rng.IntN(6)), latticeVector(rng))
	r.Owner = fmt.Sprintf("client-%d", rng.IntN(3))
	if rng.IntN(4) == 0 {
		r.Collection = others
	}
	return r
}

// randomQuery asks for few and for many, with minima that scores hit exactly.
func randomQuery(rng *rand.Rand) ports.Query {
	q := ports.Query{Collection: people, Vector: latticeVector(rng), K: 1 + rng.IntN(20), MinScore: -1}
	switch rng.IntN(4) {
	case 0:
		q.K = 1000
	case 1:
		q.MinScore = float64(rng.IntN(17)-8) / 8
	case 2:
		q.MinScore = 2*rng.Float64() - 1
	}
	if rng.IntN(4) == 0 {
		q.Collection = others
	}
	return q
}

// searchRealVectors compares with the oracle on vectors of arbitrary direction,
// some of them close together as faces of one person are.
func searchRealVectors(t *testing.T, h StoreHarness) {
	const dimension = 128
	s := h.Open(t, storeSpace(dimension))
	rng := seeded(7)
	want := &oracle{}
	for i := range h.many() {
		user, mode := fmt.Sprintf("user-%05d", i/2), ports.NewUser()
		if i%2 == 1 {
			mode = ports.FurtherFace(ports.Everybody())
		}
		r := face(user, fmt.Sprintf("face-%d", i%2), sphereVector(rng, dimension))
		require.NoError(t, want.add(r, mode))
	}
	for parity, mode := range []ports.Mode{ports.NewUser(), ports.FurtherFace(ports.Everybody())} {
		var records []ports.Record
		for i := parity; i < len(want.records); i += 2 {
			records = append(records, want.records[i])
		}
		fill(t, s, records, mode)
	}
	for range 20 {
		q := ports.Query{Collection: people, Vector: sphereVector(rng, dimension), K: 1 + rng.IntN(50), MinScore: -1}
		if rng.IntN(2) == 0 {
			q.Vector = want.records[rng.IntN(len(want.records))].Vector
			q.MinScore = 0.1
		}
		want.requireNear(t, q, search(t, s, q.Vector, q.K, q.MinScore), rounding)
	}
}
