package memstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// requireUnavailable checks that every call is refused.
func requireUnavailable(t *testing.T, s *Store) {
	t.Helper()
	ctx, east := t.Context(), []float32{1, 0}
	require.ErrorIs(t, s.Add(ctx, record("ada", east), ports.First), ports.ErrUnavailable)
	require.ErrorIs(t, s.Remove(ctx, users, "ada", ""), ports.ErrUnavailable)
	_, err := s.Get(ctx, users, "ada")
	require.ErrorIs(t, err, ports.ErrUnavailable)
	_, err = s.Search(ctx, ports.Query{Collection: users, Vector: east, K: 1})
	require.ErrorIs(t, err, ports.ErrUnavailable)
	_, err = s.Count(ctx, users)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	for _, err := range s.Scan(ctx, ports.Everything(users, "")) {
		require.ErrorIs(t, err, ports.ErrUnavailable)
	}
	require.ErrorIs(t, s.CheckHealth(ctx), ports.ErrUnavailable)
}

func TestBeforeStartAndAfterClose(t *testing.T) {
	for name, path := range map[string]string{"volatile": "", "durable": filepath.Join(t.TempDir(), "imago.db")} {
		t.Run(name, func(t *testing.T) {
			s := newStore(path, testSpace(2))
			requireUnavailable(t, s)
			require.NoError(t, s.Start(t.Context()))
			require.NoError(t, s.CheckHealth(t.Context()))
			require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.First))
			require.NoError(t, s.Close(t.Context()))
			requireUnavailable(t, s)
			require.Empty(t, s.index.collections, "the index is still in memory")
		})
	}
}

func TestCloseTwice(t *testing.T) {
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(2))
	for _, err := range together(4, func(int) error { return s.Close(t.Context()) }) {
		require.NoError(t, err)
	}
	require.NoError(t, s.Close(t.Context()))
}

func TestCloseWithoutStart(t *testing.T) {
	s := newStore(filepath.Join(t.TempDir(), "imago.db"), testSpace(2))
	require.NoError(t, s.Close(t.Context()))
	requireUnavailable(t, s)
	require.Error(t, s.Start(t.Context()))
	require.NoFileExists(t, s.cfg.Path)
}

func TestStartTwice(t *testing.T) {
	s := started(t, "", testSpace(2))
	require.Error(t, s.Start(t.Context()))
	require.NoError(t, s.CheckHealth(t.Context()))
}

func TestStartWithoutDimension(t *testing.T) {
	require.ErrorIs(t, newStore("", testSpace(0)).Start(t.Context()), ports.ErrInvalid)
}

// A Start that fails releases the file, so that the next one gets it.
func TestStartCancelled(t *testing.T) {
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.First))
	closeStore(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	again := newStore(s.cfg.Path, s.space)
	require.ErrorIs(t, again.Start(ctx), context.Canceled)
	requireUnavailable(t, again)
	require.Len(t, contents(t, started(t, s.cfg.Path, s.space)), 1)
}

// Close answers what waits: each call is either told that it succeeded, and
// then it has, or that the store was closed.
func TestCloseDuringWrites(t *testing.T) {
	records := crowd(400, 16)
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(16))
	closing := make(chan struct{})
	errs := together(len(records)+1, func(i int) error {
		if i == len(records) {
			<-closing
			return s.Close(t.Context())
		}
		if i == len(records)/2 {
			close(closing)
		}
		return s.Add(t.Context(), records[i], ports.First)
	})
	require.NoError(t, errs[len(records)])
	var kept []ports.Record
	for i, r := range records {
		if errs[i] == nil {
			kept = append(kept, r)
			continue
		}
		require.ErrorIs(t, errs[i], ports.ErrUnavailable)
	}
	require.Equal(t, kept, contents(t, started(t, s.cfg.Path, s.space)))
}

// The writer answers all that waits before it stops. It sees the wish to stop
// and the waiting writes at the same moment, so one try would prove little.
func TestWriterFinishes(t *testing.T) {
	for range 20 {
		w := newWriter(newIndex(2, 0), nil, time.Hour, discard())
		var ops []*write
		for i := range 3 {
			op := &write{change: change{ports.First, record(fmt.Sprint(i), []float32{1, 0})}, answer: make(chan error, 1)}
			w.queue <- op
			ops = append(ops, op)
		}
		close(w.closing)
		w.run()
		for _, op := range ops {
			require.NoError(t, op.late())
		}
		require.ErrorIs(t, w.do(t.Context(), ops[0].change), ports.ErrUnavailable)
	}
}

// A Close that is given up goes on, and can be waited for again.
func TestCloseGivenUp(t *testing.T) {
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(2))
	release := blockCommits(t, s)
	op := submit(t, s, change{ports.First, record("ada", []float32{1, 0})})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Close(ctx), context.Canceled)
	release()
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, <-op.answer)
	require.Len(t, contents(t, started(t, s.cfg.Path, s.space)), 1)
}

// The file is closed properly: nothing is left beside it but
// the lock and the witness.
func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	s := started(t, filepath.Join(dir, "imago.db"), testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.First))
	closeStore(t, s)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{s.cfg.Path, s.cfg.Path + ".commits", s.cfg.Path + ".lock"}, files)
}

// The errors say which call failed and keep the kind.
func TestErrorsNameTheCall(t *testing.T) {
	s := started(t, "", testSpace(2))
	err := s.Remove(t.Context(), users, "a secret ID", "")
	require.ErrorIs(t, err, ports.ErrNotFound)
	require.EqualError(t, err, "memstore: remove: not found")
	err = s.Add(t.Context(), record("a secret\x00ID", []float32{1, 0}), ports.First)
	require.EqualError(t, err, "memstore: add: invalid input: user ID with control characters")
	require.NotErrorIs(t, unavailable(errors.New("disk on fire")), ports.ErrInvalid)
}
