package pgstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/servers"
)

// What the README says of erasure: neither a removal nor VACUUM takes all
// vectors out of the files of the table, VACUUM FULL does, and none of them
// touches the write-ahead log.
func TestVacuumFullErases(t *testing.T) {
	for _, index := range []string{config.IndexExact, config.IndexHNSW} {
		t.Run(index, func(t *testing.T) {
			server := servers.Postgres(t)
			cfg := settingsFor(t, server.DSN())
			cfg.Index = index
			s := started(t, cfg, testSpace(128))
			var records []ports.Record
			for i := range 60 {
				records = append(records, record(fmt.Sprintf("user-%02d", i), "f", unitVector(seeded(uint64(i)), 128)))
				require.NoError(t, s.Add(t.Context(), records[i], ports.First))
			}
			gone := records[20:40]
			for _, r := range gone {
				require.NoError(t, s.Remove(t.Context(), users, r.UserID, ""))
			}
			tables, log := dataFolder(t, server, "base"), dataFolder(t, server, "pg_wal")
			administer(t, server, "VACUUM "+cfg.Schema+".faces")
			require.Positive(t, traces(t, tables, gone), "VACUUM is enough, and the README says that it is not")
			administer(t, server, "VACUUM FULL "+cfg.Schema+".faces")
			require.Zero(t, traces(t, tables, gone))
			require.Equal(t, 40, traces(t, tables, records))
			require.Equal(t, 20, traces(t, log, gone), "the write-ahead log is rid of them, and the README says that it is not")
		})
	}
}

// administer runs a statement and has the server write everything to its files.
func administer(t *testing.T, server *servers.PostgresServer, statement string) {
	t.Helper()
	conn := outside(t, server.DSN())
	for _, one := range []string{statement, "CHECKPOINT"} {
		_, err := conn.Exec(t.Context(), one)
		require.NoError(t, err)
	}
}

// dataFolder returns a folder of a server on this machine.
func dataFolder(t *testing.T, server *servers.PostgresServer, name string) string {
	t.Helper()
	var folder string
	require.NoError(t, outside(t, server.DSN()).QueryRow(t.Context(), "SHOW data_directory").Scan(&folder))
	return filepath.Join(folder, name)
}

// traces counts the records of whose vectors four numbers in a row, which do not
// occur by chance, are in the files below a folder.
func traces(t *testing.T, folder string, records []ports.Record) int {
	t.Helper()
	const window = 16
	wanted := map[[window]byte]int{}
	for i, r := range records {
		var data []byte
		for _, x := range r.Vector {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		for at := 0; at+window <= len(data); at += window {
			wanted[[window]byte(data[at:])] = i
		}
	}
	found := map[int]bool{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		// The server removes files of its own at any time.
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for at := 0; at+window <= len(data); at++ {
			if i, ok := wanted[[window]byte(data[at:])]; ok {
				found[i] = true
			}
		}
		return err
	}))
	return len(found)
}
