package memstore

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore/sqlite"
	"imago/ports"
	"imago/test/fixture"
)

// fullDisk is a file that commits nothing as long as the disk is full. What SQLite does then
// is tested in its package.
type fullDisk struct {
	file
	full atomic.Bool
}

var errFull = errors.New("database or disk is full")

func (f *fullDisk) Commit(changes []sqlite.Change) error {
	if f.full.Load() {
		return errFull
	}
	return f.file.Commit(changes)
}

func TestDiskFull(t *testing.T) {
	s := durable(t, 128)
	disk := &fullDisk{file: s.driver.writer.file}
	s.driver.writer.file = disk
	records := crowd(300, 128)
	enrol(t, s, records[:100])
	disk.full.Store(true)
	for _, err := range fixture.Together(200, func(i int) error { return s.Add(t.Context(), records[100+i], ports.NewUser()) }) {
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.ErrorIs(t, err, errFull)
	}
	require.Equal(t, records[:100], contents(t, s), "a failed write shows")
	require.NoError(t, s.CheckHealth(t.Context()), "searches are still served")

	disk.full.Store(false)
	enrol(t, s, records[100:])
	require.Equal(t, records, contents(t, s))
	require.Equal(t, records, contents(t, reopened(t, s)))
}

// A failed commit takes back what the batch did to users that exist.
func TestFailedCommitTakesBack(t *testing.T) {
	s := durable(t, 128)
	records := crowd(100, 128)
	enrol(t, s, records)
	disk := &fullDisk{file: s.driver.writer.file}
	s.driver.writer.file = disk
	release := blockCommits(s)
	first := submit(t, s, deletion(ports.WholeUser(records[0].User()), ports.Everybody()))
	var ops []*write
	for i := range 100 {
		c := addition(records[i%100], ports.NewUser())
		c.record.UserID += " again"
		if i%10 == 0 {
			c = addition(records[(i+1)%100], ports.Replacement(ports.Everybody()))
			c.record.Vector = records[0].Vector
		}
		op := &write{change: c, answer: make(chan error, 1)}
		s.driver.writer.queue <- op
		ops = append(ops, op)
	}
	// Refused because of a write that fails, so nothing is certain.
	refused := &write{change: ops[1].change, answer: make(chan error, 1)}
	s.driver.writer.queue <- refused
	disk.full.Store(true)
	release()
	for _, op := range append(ops, refused, first) {
		err := <-op.answer
		require.ErrorContains(t, err, "full")
		require.NotErrorIs(t, err, ports.ErrExists)
	}
	require.Equal(t, records, contents(t, s))
	disk.full.Store(false)
	require.Equal(t, records, contents(t, reopened(t, s)))
}
