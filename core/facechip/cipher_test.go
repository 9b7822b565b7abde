package facechip_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/facechip"
	"imago/ports"
)

var ada = ports.UserKey{Collection: "users", UserID: "ada"}

// noise is the chip that a PNG makes no smaller.
func noise() *ports.Chip {
	chip, r := new(ports.Chip), rand.New(rand.NewPCG(1, 2))
	for i := range chip {
		chip[i] = byte(r.UintN(256))
	}
	return chip
}

func TestSealedChipsOpen(t *testing.T) {
	c := facechip.New([32]byte{1})
	for name, chip := range map[string]*ports.Chip{"black": new(ports.Chip), "noise": noise()} {
		sealed, err := c.Seal(chip, ada, "f")
		require.NoError(t, err)
		require.LessOrEqual(t, len(sealed), ports.MaxChipBytes, name)
		opened, err := c.Open(sealed, ada, "f")
		require.NoError(t, err)
		require.Equal(t, chip, opened, name)

		again, err := c.Seal(chip, ada, "f")
		require.NoError(t, err)
		require.NotEqual(t, sealed[5:21], again[5:21], "salt")
		require.NotEqual(t, sealed[33:], again[33:])
	}
}

func TestChipsAreBoundToTheirFaces(t *testing.T) {
	c := facechip.New([32]byte{1})
	sealed, err := c.Seal(noise(), ada, "f")
	require.NoError(t, err)
	for name, open := range map[string]func() (*ports.Chip, error){
		"another user": func() (*ports.Chip, error) {
			return c.Open(sealed, ports.UserKey{Collection: "users", UserID: "eve"}, "f")
		},
		"another collection": func() (*ports.Chip, error) {
			return c.Open(sealed, ports.UserKey{Collection: "user", UserID: "sada"}, "f")
		},
		"another face":    func() (*ports.Chip, error) { return c.Open(sealed, ada, "g") },
		"cut off":         func() (*ports.Chip, error) { return c.Open(sealed[:len(sealed)-1], ada, "f") },
		"hardly anything": func() (*ports.Chip, error) { return c.Open(sealed[:20], ada, "f") },
		"nothing":         func() (*ports.Chip, error) { return c.Open(nil, ada, "f") },
	} {
		_, err := open()
		require.ErrorIs(t, err, facechip.ErrForeign, name)
	}
	for _, at := range []int{6, 22, 40, len(sealed) - 1} {
		damaged := bytes.Clone(sealed)
		damaged[at] ^= 1
		_, err := c.Open(damaged, ada, "f")
		require.ErrorIs(t, err, facechip.ErrForeign, at)
	}
	sealed[0] = 2
	_, err = c.Open(sealed, ada, "f")
	require.ErrorContains(t, err, "version 2")
}

func TestKeysAreReplaced(t *testing.T) {
	former := facechip.New([32]byte{1})
	sealed, err := former.Seal(noise(), ada, "f")
	require.NoError(t, err)
	both := facechip.New([32]byte{2}, [32]byte{1})
	opened, err := both.Open(sealed, ada, "f")
	require.NoError(t, err)
	require.Equal(t, noise(), opened)
	sealed, err = both.Seal(noise(), ada, "f")
	require.NoError(t, err)
	_, err = former.Open(sealed, ada, "f")
	require.ErrorIs(t, err, facechip.ErrUnknownKey)
}

func BenchmarkSeal(b *testing.B) {
	c, chip := facechip.New([32]byte{1}), noise()
	for b.Loop() {
		_, err := c.Seal(chip, ada, "f")
		require.NoError(b, err)
	}
}
