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

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

// What adapters/memstore/README.md says of erasure: neither a removal nor VACUUM takes all
// vectors and chips out of the files of the table, VACUUM FULL does, ANALYZE makes no copies of
// them, and none of these touches the write-ahead log.
func TestVacuumFullErases(t *testing.T) {
	for _, index := range []string{config.IndexExact, config.IndexHNSW} {
		t.Run(index, func(t *testing.T) {
			server := servers.Postgres(t)
			cfg := settingsFor(t, server.DSN())
			cfg.Index = index
			s := started(t, cfg, testSpace(128))
			var records []ports.Record
			for i := range 60 {
				records = append(records, record(fmt.Sprintf("user-%02d", i), "f", fixture.UnitVector(seeded(uint64(i)), 128)))
				records[i].Chip = chip(uint64(i), 30_000)
				require.NoError(t, s.Add(t.Context(), records[i], ports.NewUser()))
			}
			administer(t, server, "ANALYZE "+cfg.Schema+".faces")
			gone := records[20:40]
			for _, r := range gone {
				require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey(r.UserID)), ports.Everybody()))
			}
			tables, log := dataFolder(t, server, "base"), dataFolder(t, server, "pg_wal")
			parts := []func(ports.Record) []byte{vectorOf, chipOf}
			administer(t, server, "VACUUM "+cfg.Schema+".faces")
			for _, part := range parts {
				require.Positive(t, traces(t, tables, gone, part), "VACUUM is enough, and the page says that it is not")
			}
			administer(t, server, "VACUUM FULL "+cfg.Schema+".faces")
			for _, part := range parts {
				require.Zero(t, traces(t, tables, gone, part))
				require.Equal(t, 40, traces(t, tables, records, part))
				require.Equal(t, 20, traces(t, log, gone, part), "the write-ahead log is rid of them, and the page says that it is not")
			}
		})
	}
}

// The copies of vectors that an older imago had ANALYZE make go with the upgrade, but where
// that would build an index again: neither the table nor an index is rewritten.
func TestStatisticsOfOlderTables(t *testing.T) {
	t.Parallel()
	for index, keeps := range map[string]bool{config.IndexExact: false, config.IndexHNSW: true} {
		cfg := settingsFor(t, dsn(t))
		cfg.Index = index
		s := started(t, cfg, testSpace(128))
		for i := range 60 {
			require.NoError(t, s.Add(t.Context(), record(fmt.Sprint(i), "f", fixture.UnitVector(seeded(uint64(i)), 128)), ports.NewUser()))
		}
		closeStore(t, s)
		run(t, cfg, "ANALYZE "+cfg.Schema+".faces")
		files, copies := filesOfFaces(t, cfg)
		require.Zero(t, copies)
		run(t, cfg, "ALTER TABLE "+cfg.Schema+".faces ALTER COLUMN vector SET STATISTICS -1", "ANALYZE "+cfg.Schema+".faces",
			"DELETE FROM "+cfg.Schema+".migrations WHERE version_id >= 7")
		_, copies = filesOfFaces(t, cfg)
		require.Positive(t, copies)
		started(t, cfg, testSpace(128))
		run(t, cfg, "ANALYZE "+cfg.Schema+".faces")
		after, copies := filesOfFaces(t, cfg)
		require.Equal(t, keeps, copies > 0, index)
		require.Equal(t, files, after)
	}
}

// filesOfFaces returns the files of the table of faces and of its indexes, and how many
// vectors there are among the statistics.
func filesOfFaces(t *testing.T, cfg config.PGVectorStore) (files map[string]uint32, copies int) {
	t.Helper()
	conn := outside(t, cfg.DSN.Reveal())
	rows, err := conn.Query(t.Context(), `
		SELECT relname::text, relfilenode FROM pg_class
		WHERE oid = to_regclass($1) OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = to_regclass($1))`, cfg.Schema+".faces")
	require.NoError(t, err)
	files = map[string]uint32{}
	var name string
	var file uint32
	_, err = pgx.ForEachRow(rows, []any{&name, &file}, func() error { files[name] = file; return nil })
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT count(*) FROM pg_statistic JOIN pg_attribute ON attrelid = starelid AND attnum = staattnum
		WHERE starelid = to_regclass($1) AND attname = 'vector'`, cfg.Schema+".faces").Scan(&copies))
	return files, copies
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

// vectorOf returns a vector as the server stores it; chipOf does so of a chip.
func vectorOf(r ports.Record) (data []byte) {
	for _, x := range r.Vector {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
	}
	return data
}

// traces counts the records of a part of which 16 bytes in a row, which do not occur by chance, are in
// the files below a folder.
func traces(t *testing.T, folder string, records []ports.Record, part func(ports.Record) []byte) int {
	t.Helper()
	const window = 16
	wanted := map[[window]byte]int{}
	for i, r := range records {
		data := part(r)
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
