package memstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/core/vectorstore"
	"imago/ports"
)

func durable(t *testing.T, dimension int) *store {
	t.Helper()
	return unwiped(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(dimension))
}

// Writes that wait while another is committed share one transaction. The log
// shows it: each commit of its own would write at least two pages anew.
func TestCommitsAreShared(t *testing.T) {
	s := durable(t, 16)
	records := crowd(100, 16)
	release := blockCommits(s)
	first := submit(t, s, addition(records[0], ports.NewUser()))
	var waiting []*write
	for _, r := range records[1:] {
		op := &write{change: addition(r, ports.NewUser()), answer: make(chan error, 1)}
		s.driver.writer.queue <- op
		waiting = append(waiting, op)
	}
	release()
	for _, op := range append(waiting, first) {
		require.NoError(t, <-op.answer)
	}
	log, err := os.Stat(s.driver.cfg.Path + "-wal")
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
	release := blockCommits(s)
	first := submit(t, s, addition(record("bob", north), ports.NewUser()))
	var ops []*write
	steps := []struct {
		change
		want error
	}{
		{deletion(ports.WholeUser(record("ada", nil).User()), ports.Everybody()), ports.ErrNotFound},
		{addition(further, ports.FurtherFace(ports.Everybody())), ports.ErrNotFound},
		{addition(record("ada", east), ports.NewUser()), nil},
		{addition(record("ada", north), ports.NewUser()), ports.ErrExists},
		{addition(further, ports.FurtherFace(ports.Everybody())), nil},
		{addition(further, ports.FurtherFace(ports.Everybody())), ports.ErrExists},
		{addition(record("ada", north), ports.Replacement(ports.Everybody())), nil},
		{addition(further, ports.FurtherFace(ports.Everybody())), nil},
		{deletion(ports.WholeUser(record("ada", nil).User()), ports.Everybody()), nil},
		{deletion(ports.WholeUser(record("ada", nil).User()), ports.Everybody()), ports.ErrNotFound},
		{addition(record("ada", east), ports.Replacement(ports.Everybody())), ports.ErrNotFound},
		{addition(record("ada", north), ports.NewUser()), nil},
		{deletion(ports.WholeUser(record("bob", nil).User()), ports.Everybody()), nil},
	}
	for _, step := range steps {
		op := &write{change: step.change, answer: make(chan error, 1)}
		s.driver.writer.queue <- op
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
	require.NoError(t, s.Add(t.Context(), record("ada", east), ports.NewUser()))
	release := blockCommits(s)
	op := submit(t, s, addition(record("bob", east), ports.NewUser()))
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
	release := blockCommits(s)
	first := submit(t, s, addition(record("ada", []float32{1, 0}), ports.NewUser()))
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	go func() { answers <- s.Add(ctx, record("bob", []float32{1, 0}), ports.NewUser()) }()
	until(t, "the write waits", func() bool { return len(s.driver.writer.queue) > 0 })
	cancel()
	require.ErrorIs(t, <-answers, context.Canceled)
	release()
	require.NoError(t, <-first.answer)
	require.NoError(t, s.Add(t.Context(), record("cyd", []float32{1, 0}), ports.NewUser()))
	_, err := s.Get(t.Context(), userKey("bob"))
	require.ErrorIs(t, err, ports.ErrNotFound)
}

// A caller waits for room in the queue no longer than its context lasts.
func TestQueueFull(t *testing.T) {
	s := durable(t, 2)
	release := blockCommits(s)
	first := submit(t, s, addition(record("ada", []float32{1, 0}), ports.NewUser()))
	for range queueLength {
		s.driver.writer.queue <- &write{change: first.change, answer: make(chan error, 1)}
	}
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	go func() { answers <- s.Add(ctx, record("bob", []float32{1, 0}), ports.NewUser()) }()
	cancel()
	require.ErrorIs(t, <-answers, context.Canceled)
	release()
	require.NoError(t, <-first.answer)
}

// A statement that fails in the middle of a transaction, here because somebody
// wrote to the file, does not stand in the way of the next one.
func TestFailedStatement(t *testing.T) {
	s := durable(t, 2)
	require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.NewUser()))
	_, err := outside(t, s.driver.cfg.Path).ExecContext(t.Context(),
		"INSERT INTO face SELECT collection, 'bob', face_id, owner, enrolled_at, expires_at, slot, sum FROM face")
	require.NoError(t, err)
	require.ErrorIs(t, s.Add(t.Context(), record("bob", []float32{1, 0}), ports.NewUser()), ports.ErrUnavailable)
	require.NoError(t, s.Add(t.Context(), record("cyd", []float32{1, 0}), ports.NewUser()))
	require.Len(t, contents(t, s), 2)
}

// A user who cannot be removed from the file is not removed from the index
// either, where it would seem to be gone until the next start.
func TestRemoveFromChangedFile(t *testing.T) {
	s := durable(t, 2)
	require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.NewUser()))
	_, err := outside(t, s.driver.cfg.Path).ExecContext(t.Context(), "UPDATE face SET user_id = 'eve'")
	require.NoError(t, err)
	require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody()), ports.ErrUnavailable)
	require.Len(t, contents(t, s), 1)
}

func TestFileGone(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"deleted":  os.Remove,
		"moved":    func(path string) error { return os.Rename(path, path+".old") },
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := durable(t, 2)
			require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.NewUser()))
			require.NoError(t, damage(s.driver.cfg.Path))
			require.ErrorIs(t, s.Add(t.Context(), record("bob", []float32{1, 0}), ports.NewUser()), ports.ErrUnavailable)
			require.ErrorIs(t, s.CheckHealth(t.Context()), ports.ErrUnavailable)
			require.Equal(t, 1, len(contents(t, s)), "searches go on")
		})
	}
}

// unopened is a driver that the test sets up by itself.
type unopened struct{ *Driver }

func (unopened) Open(context.Context) error { return nil }

// A caller that leaves while its write is being committed may use its vector
// for something else at once. The test stands in for the writer.
func TestCallerLeavesAndReusesItsVector(t *testing.T) {
	d := New(config.MemoryStore{}, testSpace(2), discard())
	d.writer = newWriter(d.index, nil, time.Hour, discard())
	s := &store{vectorstore.New("memstore", unopened{d}, d.space), d}
	require.NoError(t, s.Start(t.Context()))
	vector := []float32{1, 0}
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	go func() { answers <- s.Add(ctx, record("ada", vector), ports.NewUser()) }()
	batch := s.driver.writer.collectBatch(<-s.driver.writer.queue)
	cancel()
	require.ErrorIs(t, <-answers, context.Canceled)
	vector[0], vector[1] = 0, 1
	s.driver.writer.process(batch)
	require.Equal(t, []ports.Record{record("ada", []float32{1, 0})}, contents(t, s))
}
