package rewrite

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Damaged networks do no harm, and one that still runs answers the same when it is
// changed: flipped bits, lost and repeated pieces, as FuzzNetwork makes them at length.
func TestDamagedNetworks(t *testing.T) {
	understood := 0
	for kind, sound := range [][]byte{
		detector(32, 32).Bytes(), activated([]int64{8, 1, 1}, 0.25, -0.5, 0, 1, -1, 2, 0.1, 0.99).Bytes(), activated([]int64{1}, 0.5).Bytes(),
	} {
		rng := rand.New(rand.NewPCG(uint64(kind), 11))
		for range 300 {
			file := damaged(rng, sound)
			g, err := Network(file)
			if err != nil {
				require.ErrorIs(t, err, ErrUnsupported)
				continue
			}
			understood++
			inputs, outputs, complete := g.Signature()
			if complete && len(inputs) == 1 && inputs[0].Element == elementFloat {
				compareRuns(t, file, g.Bytes(), inputs[0], outputs)
			}
		}
	}
	require.Greater(t, understood, 100)
}

// damaged returns a file with one to three changes.
func damaged(rng *rand.Rand, sound []byte) []byte {
	file := slices.Clone(sound)
	for range 1 + rng.IntN(3) {
		at := rng.IntN(len(file) - 8)
		switch rng.IntN(4) {
		case 0, 1:
			file[at] ^= 1 << rng.IntN(8)
		case 2:
			file = slices.Delete(file, at, at+1+rng.IntN(4))
		case 3:
			file = slices.Insert(file, at, file[at:at+1+rng.IntN(4)]...)
		}
	}
	return file
}
