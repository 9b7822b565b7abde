package memstore

import (
	"fmt"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"imago/ports"
)

// pages sets how many pages the database may have; SQLite says "full" beyond.
func pages(t *testing.T, s *Store, n int) {
	t.Helper()
	require.NoError(t, s.writer.database.exec(fmt.Sprintf("PRAGMA max_page_count = %d", n)))
}

func TestDiskFull(t *testing.T) {
	s := durable(t, 128)
	records := crowd(300, 128)
	enrol(t, s, records[:100])
	pages(t, s, 1) // SQLite raises it to the present size

	errs := together(200, func(i int) error { return s.Add(t.Context(), records[100+i], ports.First) })
	want := append([]ports.Record(nil), records[:100]...)
	full := 0
	for i, err := range errs {
		if err == nil {
			want = append(want, records[100+i])
			continue
		}
		var cause sqlite3.Error
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.ErrorAs(t, err, &cause)
		require.Equal(t, sqlite3.ErrFull, cause.Code)
		full++
	}
	require.Greater(t, full, 100)
	require.Equal(t, want, contents(t, s), "a failed write shows")
	require.NoError(t, s.CheckHealth(t.Context()), "searches are still served")

	pages(t, s, 1<<20)
	for i, err := range errs {
		if err != nil {
			require.NoError(t, s.Add(t.Context(), records[100+i], ports.First))
		}
	}
	require.Equal(t, records, contents(t, s))
	require.Equal(t, records, contents(t, reopened(t, s)))
}

// A failed commit takes back what the batch did to users that exist, and the
// slots that it took and freed.
func TestFailedCommitTakesBack(t *testing.T) {
	s := durable(t, 128)
	records := crowd(100, 128)
	enrol(t, s, records)
	require.NoError(t, s.Remove(t.Context(), users, records[99].UserID, ""))
	before := s.writer.database.slots
	pages(t, s, 1)
	release := blockCommits(t, s)
	// More than the file has room for, so that the last of them fails.
	first := submit(t, s, change{removal, records[0]})
	var ops []*write
	for i := range 100 {
		c := change{ports.First, records[i%100]}
		c.record.UserID += " again"
		if i%10 == 0 {
			c = change{ports.Replacement, records[i+1]}
			c.record.Vector = records[0].Vector
		}
		op := &write{change: c, answer: make(chan error, 1)}
		s.writer.queue <- op
		ops = append(ops, op)
	}
	// Refused on the strength of a write that fails, so nothing is certain.
	refused := &write{change: ops[1].change, answer: make(chan error, 1)}
	s.writer.queue <- refused
	release()
	require.NoError(t, <-first.answer)
	for _, op := range append(ops, refused) {
		err := <-op.answer
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.NotErrorIs(t, err, ports.ErrExists)
	}
	require.Equal(t, records[1:99], contents(t, s))
	require.Equal(t, len(before.free)+1, len(s.writer.database.slots.free))
	require.Equal(t, before.last, s.writer.database.slots.last)
	require.Equal(t, records[1:99], contents(t, reopened(t, s)))
}
