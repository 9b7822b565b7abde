package records

import (
	"database/sql"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// OpenSQLite opens a file as another program would, while it may be in use. The driver is the
// one that the test's package imports.
func OpenSQLite(tb testing.TB, path string) *sql.Conn {
	tb.Helper()
	pool, err := sql.Open("sqlite3", path)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = pool.Close() })
	conn, err := pool.Conn(tb.Context())
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// window is how many bytes of a vector are looked for in the files: four
// numbers, which do not occur by chance.
const window = 16

// chipStep is how far apart the windows of a chip are.
const chipStep = 128

// Traces counts the records of whose vectors or chips a window is anywhere in a SQLite file or
// in what lies beside it.
func Traces(t *testing.T, path string, all []ports.Record) int {
	t.Helper()
	wanted := map[[window]byte]int{}
	for i, r := range all {
		var data []byte
		for _, x := range r.Vector {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		for at := 0; at+window <= len(data); at += window {
			wanted[[window]byte(data[at:])] = i
		}
		for at := 0; at+window <= len(r.Chip); at += chipStep {
			wanted[[window]byte(r.Chip[at:])] = i
		}
	}
	found := map[int]bool{}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		data, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		for at := 0; at+window <= len(data); at++ {
			if i, ok := wanted[[window]byte(data[at:])]; ok {
				found[i] = true
			}
		}
	}
	return len(found)
}
