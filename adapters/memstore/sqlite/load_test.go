package sqlite

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/records"
)

// A row that no imago has written stops the start, and is named without the
// user's ID.
func TestDamagedRows(t *testing.T) {
	nan := encode([]float32{float32(math.NaN()), 0})
	for name, damage := range map[string]struct {
		statement string
		args      []any
		want      string
	}{
		"short":      {"UPDATE vector SET data = x'00' WHERE slot = 2", nil, "a vector of 1 bytes where 8 are expected"},
		"missing":    {"PRAGMA foreign_keys = OFF; DELETE FROM vector WHERE slot = 2", nil, "a vector of 0 bytes"},
		"NaN":        {"UPDATE vector SET data = ? WHERE slot = 2", []any{nan}, "not of unit length"},
		"blank":      {"UPDATE vector SET data = zeroblob(8) WHERE slot = 2", nil, "not of unit length"},
		"user":       {"UPDATE face SET user_id = 'secret' || char(10) WHERE slot = 2", nil, "invalid ID"},
		"face":       {"UPDATE face SET face_id = '' WHERE slot = 2", nil, "invalid ID"},
		"collection": {"UPDATE face SET collection = 'X' WHERE slot = 2", nil, `in collection "X"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := durable(t, 2)
			for _, id := range []string{"ada", "secret", "cyd"} {
				require.NoError(t, s.add(record(id, []float32{1, 0})))
			}
			closeStore(t, s)
			conn := outside(t, s.cfg.Path)
			_, err := conn.ExecContext(t.Context(), damage.statement, damage.args...)
			require.NoError(t, err)
			require.NoError(t, conn.Close())

			again := newStore(s.cfg.Path, s.space)
			err = again.Start(t.Context())
			require.ErrorContains(t, err, damage.want)
			require.ErrorContains(t, err, "slot 2")
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// Damage to the structure of the file is found wherever it is.
func TestDamagedPages(t *testing.T) {
	s := durable(t, 128)
	enrol(t, s, crowd(300, 128))
	closeStore(t, s)
	intact, err := os.ReadFile(s.cfg.Path)
	require.NoError(t, err)
	require.Greater(t, len(intact), 20*pageSize)
	path := filepath.Join(t.TempDir(), "imago.db")
	var chips int
	require.NoError(t, outside(t, s.cfg.Path).QueryRowContext(t.Context(), "SELECT rootpage FROM sqlite_schema WHERE name = 'chip'").Scan(&chips))
	for page := range len(intact) / pageSize {
		damaged := append([]byte(nil), intact...)
		header := damaged[page*pageSize : page*pageSize+8]
		if page == 0 {
			header = damaged[100:108] // behind the header of the file
		}
		for i := range header {
			header[i] ^= 0x5a
		}
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		if page+1 == chips { // which nobody reads for a start
			_, err := Inspect(t.Context(), config.MemoryStore{Path: path}, s.space, ignore)
			require.ErrorContains(t, err, "corrupt")
			closeStore(t, started(t, path, s.space))
			continue
		}
		err := newStore(path, s.space).Start(t.Context())
		require.ErrorContains(t, err, "corrupt", "page %d", page+1)
	}
	require.NoError(t, os.WriteFile(path, intact[:len(intact)/2], 0o600))
	require.ErrorContains(t, newStore(path, s.space).Start(t.Context()), "corrupt")
	require.NoError(t, os.WriteFile(path, intact, 0o600))
	require.Len(t, contents(t, started(t, path, s.space)), 300)
}

// Rows in a wrong order can all be read, but not be found again by their keys.
func TestDamagedOrder(t *testing.T) {
	s := durable(t, 128)
	enrol(t, s, crowd(300, 128))
	closeStore(t, s)
	data, err := os.ReadFile(s.cfg.Path)
	require.NoError(t, err)
	const indexLeaf = 0x0a // the type of a page, https://sqlite.org/fileformat2.html
	swapped := false
	for at := pageSize; at < len(data) && !swapped; at += pageSize {
		first, second := data[at+8:at+10], data[at+10:at+12]
		if data[at] == indexLeaf && bytes.Contains(data[at:at+pageSize], []byte("user-")) {
			first[0], second[0] = second[0], first[0]
			first[1], second[1] = second[1], first[1]
			swapped = true
		}
	}
	require.True(t, swapped)
	require.NoError(t, os.WriteFile(s.cfg.Path, data, 0o600))
	require.ErrorContains(t, newStore(s.cfg.Path, s.space).Start(t.Context()), "corrupt")
}

// A start that takes too long is given up in the middle.
func TestLoadGivenUp(t *testing.T) {
	s := durable(t, 16)
	enrol(t, s, crowd(3*contextCheckRows, 16))
	closeStore(t, s)
	again := newStore(s.cfg.Path, s.space)
	ctx := &records.Countdown{Context: t.Context(), Looks: 2}
	require.ErrorIs(t, again.Start(ctx), context.DeadlineExceeded)
	require.Len(t, contents(t, started(t, s.cfg.Path, s.space)), 3*contextCheckRows)
}

// Bits of vectors survive, subnormal numbers and negative zero included.
func TestVectorBits(t *testing.T) {
	s := durable(t, 4)
	want := record("ada", []float32{1, float32(math.Copysign(0, -1)), math.SmallestNonzeroFloat32, -1e-39})
	require.NoError(t, s.add(want))
	got := contents(t, reopened(t, s))[0].Vector
	require.Equal(t, encode(want.Vector), encode(got))
}
