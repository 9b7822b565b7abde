package sqlite

import (
	"fmt"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// What a new face needs is taken from what removed ones left.
func TestSlotsAreUsedAgain(t *testing.T) {
	s := durable(t, 128)
	records := crowd(200, 128)
	enrol(t, s, records)
	for round := range 3 {
		for _, r := range records {
			require.NoError(t, s.remove(r.UserID))
		}
		if round == 1 {
			s = reopened(t, s)
		}
		enrol(t, s, records)
	}
	require.Equal(t, int64(200), s.file.slots.last)
	require.Empty(t, s.file.slots.free)
	require.Equal(t, records, contents(t, reopened(t, s)))
}

// The settings that durability depends on are what SQLite says it uses.
func TestPragmas(t *testing.T) {
	s := durable(t, 2)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "temp_store": "2", "page_size": "8192",
		"application_id": "1768776039", "user_version": "8", "trusted_schema": "0", "locking_mode": "normal",
	} {
		var got string
		require.NoError(t, s.file.row("PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
}

// setPages sets how many pages the database may have; SQLite says "full" beyond.
func setPages(t *testing.T, s *store, n int) {
	t.Helper()
	require.NoError(t, s.file.exec(fmt.Sprintf("PRAGMA max_page_count = %d", n)))
}

// A commit that finds the disk full has changed nothing, neither in the file nor in what is
// known of its slots, and does not stand in the way of the next one.
func TestDiskFull(t *testing.T) {
	s := durable(t, 128)
	records := crowd(300, 128)
	enrol(t, s, records[:200])
	require.NoError(t, s.remove(records[199].UserID))
	before, contained := s.file.slots, s.file.contents
	setPages(t, s, 1) // SQLite raises it to the present size
	changes := []Change{{Face: records[0], Remove: true}, {Face: records[1], Remove: true, Add: true}}
	for _, r := range records[200:] {
		changes = append(changes, Change{Face: r, Add: true})
	}
	var cause sqlite3.Error
	require.ErrorAs(t, s.commit(changes...), &cause)
	require.Equal(t, sqlite3.ErrFull, cause.Code)
	require.Equal(t, before, s.file.slots)
	require.Equal(t, contained, s.file.contents)

	require.NoError(t, s.remove(records[0].UserID), "that needs no room")
	setPages(t, s, 1<<20)
	enrol(t, s, records[199:])
	require.Equal(t, records[1:], contents(t, s))
	require.Equal(t, records[1:], contents(t, reopened(t, s)))
}
