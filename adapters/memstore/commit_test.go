package memstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func durable(t *testing.T, dimension int) *Store {
	t.Helper()
	return unwiped(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(dimension))
}

// Writes that wait while another is committed share one transaction. The log
// shows it: each commit of its own would write at least two pages anew.
func TestCommitsAreShared(t *testing.T) {
	s := durable(t, 16)
	records := crowd(100, 16)
	release := blockCommits(t, s)
	first := submit(t, s, change{ports.First, records[0]})
	var waiting []*write
	for _, r := range records[1:] {
		op := &write{change: change{ports.First, r}, answer: make(chan error, 1)}
		s.writer.queue <- op
		waiting = append(waiting, op)
	}
	release()
	for _, op := range append(waiting, first) {
		require.NoError(t, <-op.answer)
	}
	log, err := os.Stat(s.cfg.Path + "-wal")
	require.NoError(t, err)
	require.Less(t, log.Size(), int64(40*pageSize), "the commits were not shared")
	require.Equal(t, records, contents(t, reopened(t, s)))
}

// Within one batch each write is judged by what the ones before it change.
func TestWritesOfOneBatch(t *testing.T) {
	s := durable(t, 2)
	east, north := []float32{1, 0}, []float32{0, 1}
	further := record("ada", north)
	further.FaceID = "g"
	release := blockCommits(t, s)
	first := submit(t, s, change{ports.First, record("bob", north)})
	var ops []*write
	steps := []struct {
		change
		want error
	}{
		{change{removal, record("ada", nil)}, ports.ErrNotFound},
		{change{ports.Further, further}, ports.ErrNotFound},
		{change{ports.First, record("ada", east)}, nil},
		{change{ports.First, record("ada", north)}, ports.ErrExists},
		{change{ports.Further, further}, nil},
		{change{ports.Further, further}, ports.ErrExists},
		{change{ports.Replacement, record("ada", north)}, nil},
		{change{ports.Further, further}, nil},
		{change{removal, record("ada", nil)}, nil},
		{change{removal, record("ada", nil)}, ports.ErrNotFound},
		{change{ports.Replacement, record("ada", east)}, ports.ErrNotFound},
		{change{ports.First, record("ada", north)}, nil},
		{change{removal, record("bob", nil)}, nil},
	}
	for _, step := range steps {
		op := &write{change: step.change, answer: make(chan error, 1)}
		s.writer.queue <- op
		ops = append(ops, op)
	}
	release()
	require.NoError(t, <-first.answer)
	for i, op := range ops {
		require.ErrorIs(t, <-op.answer, steps[i].want, "step %d", i)
	}
	want := []ports.Record{record("ada", north)}
	require.Equal(t, want, contents(t, s))
	require.Equal(t, want, contents(t, reopened(t, s)))
}

// Everything but writes goes on while a commit takes its time.
func TestReadsDuringCommit(t *testing.T) {
	s := durable(t, 2)
	east := []float32{1, 0}
	require.NoError(t, s.Add(t.Context(), record("ada", east), ports.First))
	release := blockCommits(t, s)
	op := submit(t, s, change{ports.First, record("bob", east)})
	q := ports.Query{Collection: users, Vector: east, K: 10}
	found, err := s.Search(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, found, 1, "what is not committed is not seen")
	require.Equal(t, []ports.Record{record("ada", east)}, contents(t, s))
	require.NoError(t, s.CheckHealth(t.Context()))
	release()
	require.NoError(t, <-op.answer)
	found, err = s.Search(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, found, 2)
}

// A caller that leaves before its write is taken up has written nothing; one
// that leaves later may have.
func TestCallerLeaves(t *testing.T) {
	s := durable(t, 2)
	release := blockCommits(t, s)
	first := submit(t, s, change{ports.First, record("ada", []float32{1, 0})})
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	go func() { answers <- s.Add(ctx, record("bob", []float32{1, 0}), ports.First) }()
	until(t, "the write waits", func() bool { return len(s.writer.queue) > 0 })
	cancel()
	require.ErrorIs(t, <-answers, context.Canceled)
	release()
	require.NoError(t, <-first.answer)
	require.NoError(t, s.Add(t.Context(), record("cyd", []float32{1, 0}), ports.First))
	_, err := s.Get(t.Context(), users, "bob")
	require.ErrorIs(t, err, ports.ErrNotFound)
}

// A caller waits for room in the queue no longer than its context lasts.
func TestQueueFull(t *testing.T) {
	s := durable(t, 2)
	release := blockCommits(t, s)
	first := submit(t, s, change{ports.First, record("ada", []float32{1, 0})})
	for range queueLength {
		s.writer.queue <- &write{change: first.change, answer: make(chan error, 1)}
	}
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	go func() { answers <- s.Add(ctx, record("bob", []float32{1, 0}), ports.First) }()
	cancel()
	require.ErrorIs(t, <-answers, context.Canceled)
	release()
	require.NoError(t, <-first.answer)
}

// A statement that fails in the middle of a transaction, here because somebody
// wrote to the file, does not stand in the way of the next one.
func TestFailedStatement(t *testing.T) {
	s := durable(t, 2)
	require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.First))
	_, err := outside(t, s.cfg.Path).ExecContext(t.Context(),
		"INSERT INTO face SELECT collection, 'bob', face_id, owner, enrolled_at, slot, sum FROM face")
	require.NoError(t, err)
	require.ErrorIs(t, s.Add(t.Context(), record("bob", []float32{1, 0}), ports.First), ports.ErrUnavailable)
	require.NoError(t, s.Add(t.Context(), record("cyd", []float32{1, 0}), ports.First))
	require.Len(t, contents(t, s), 2)
}

// A user who cannot be removed from the file is not removed from the index
// either, where it would seem to be gone until the next start.
func TestRemoveFromChangedFile(t *testing.T) {
	s := durable(t, 2)
	require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.First))
	_, err := outside(t, s.cfg.Path).ExecContext(t.Context(), "UPDATE face SET user_id = 'eve'")
	require.NoError(t, err)
	require.ErrorIs(t, s.Remove(t.Context(), users, "ada", ""), ports.ErrUnavailable)
	require.Len(t, contents(t, s), 1)
}

// What a new face needs is taken from what removed ones left.
func TestSlotsAreUsedAgain(t *testing.T) {
	s := durable(t, 128)
	records := crowd(200, 128)
	enrol(t, s, records)
	for round := range 3 {
		for _, r := range records {
			require.NoError(t, s.Remove(t.Context(), users, r.UserID, ""))
		}
		if round == 1 {
			s = reopened(t, s)
		}
		enrol(t, s, records)
	}
	require.Equal(t, int64(200), s.writer.database.slots.last)
	require.Empty(t, s.writer.database.slots.free)
	require.Equal(t, records, contents(t, reopened(t, s)))
}

// The settings that durability depends on are what SQLite says it uses.
func TestPragmas(t *testing.T) {
	s := durable(t, 2)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "temp_store": "2", "page_size": "8192",
		"application_id": "1768776039", "user_version": "3", "trusted_schema": "0", "locking_mode": "normal",
	} {
		var got string
		require.NoError(t, s.writer.database.row("PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
}

func TestFileGone(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"deleted":  os.Remove,
		"moved":    func(path string) error { return os.Rename(path, path+".old") },
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := durable(t, 2)
			require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.First))
			require.NoError(t, damage(s.cfg.Path))
			require.ErrorIs(t, s.Add(t.Context(), record("bob", []float32{1, 0}), ports.First), ports.ErrUnavailable)
			require.ErrorIs(t, s.CheckHealth(t.Context()), ports.ErrUnavailable)
			require.Equal(t, 1, len(contents(t, s)), "searches go on")
		})
	}
}

// A caller that leaves while its write is being committed may use its vector
// for something else at once. The test stands in for the writer.
func TestCallerLeavesAndReusesItsVector(t *testing.T) {
	s := newStore("", testSpace(2))
	s.writer = newWriter(s.index, nil, time.Hour, discard())
	s.state.Store(open)
	vector := []float32{1, 0}
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	go func() { answers <- s.Add(ctx, record("ada", vector), ports.First) }()
	batch := s.writer.gather(<-s.writer.queue)
	cancel()
	require.ErrorIs(t, <-answers, context.Canceled)
	vector[0], vector[1] = 0, 1
	s.writer.process(batch)
	require.Equal(t, []ports.Record{record("ada", []float32{1, 0})}, contents(t, s))
}
