package memstore

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// requireUnavailable checks that every call is refused.
func requireUnavailable(t *testing.T, s *store) {
	t.Helper()
	ctx, east := t.Context(), []float32{1, 0}
	require.ErrorIs(t, s.Add(ctx, record("ada", east), ports.NewUser()), ports.ErrUnavailable)
	require.ErrorIs(t, s.Remove(ctx, ports.WholeUser(userKey("ada")), ports.Everybody()), ports.ErrUnavailable)
	_, err := s.Get(ctx, userKey("ada"))
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
			require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.NewUser()))
			require.NoError(t, s.Close(t.Context()))
			requireUnavailable(t, s)
			require.Zero(t, s.driver.index.Len(), "the index is still in memory")
		})
	}
}

func TestCloseTwice(t *testing.T) {
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(2))
	for _, err := range fixture.Together(4, func(int) error { return s.Close(t.Context()) }) {
		require.NoError(t, err)
	}
	require.NoError(t, s.Close(t.Context()))
}

func TestCloseWithoutStart(t *testing.T) {
	s := newStore(filepath.Join(t.TempDir(), "imago.db"), testSpace(2))
	require.NoError(t, s.Close(t.Context()))
	requireUnavailable(t, s)
	require.Error(t, s.Start(t.Context()))
	require.NoFileExists(t, s.driver.cfg.Path)
}

// A Start that fails releases the file, so that the next one gets it.
func TestStartCancelled(t *testing.T) {
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.NewUser()))
	closeStore(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	again := newStore(s.driver.cfg.Path, s.driver.space)
	require.ErrorIs(t, again.Start(ctx), context.Canceled)
	requireUnavailable(t, again)
	require.Len(t, contents(t, started(t, s.driver.cfg.Path, s.driver.space)), 1)
}

// A file that turns out damaged when a part of it is read leaves nothing in RAM.
func TestStartOfDamagedFile(t *testing.T) {
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(16))
	enrol(t, s, crowd(3000, 16))
	closeStore(t, s)
	conn := outside(t, s.driver.cfg.Path)
	_, err := conn.ExecContext(t.Context(), "UPDATE face SET owner = 'mallory' WHERE user_id = 'user-002999'")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	again := newStore(s.driver.cfg.Path, s.driver.space)
	require.ErrorContains(t, again.Start(t.Context()), "memstore: cannot open: "+s.driver.cfg.Path+": corrupt file: the row of table face")
	require.Zero(t, again.driver.index.Len())
	requireUnavailable(t, again)
}

// Close answers what waits: each call is either told that it succeeded, and
// then it has, or that the store was closed.
func TestCloseDuringWrites(t *testing.T) {
	records := crowd(400, 16)
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(16))
	closing := make(chan struct{})
	errs := fixture.Together(len(records)+1, func(i int) error {
		if i == len(records) {
			<-closing
			return s.Close(t.Context())
		}
		if i == len(records)/2 {
			close(closing)
		}
		return s.Add(t.Context(), records[i], ports.NewUser())
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
	require.Equal(t, kept, contents(t, started(t, s.driver.cfg.Path, s.driver.space)))
}

// A Close that is given up goes on, and can be waited for again.
func TestCloseGivenUp(t *testing.T) {
	s := started(t, filepath.Join(t.TempDir(), "imago.db"), testSpace(2))
	release := blockCommits(s)
	op := submit(t, s, addition(record("ada", []float32{1, 0}), ports.NewUser()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Close(ctx), context.Canceled)
	release()
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, <-op.answer)
	require.Len(t, contents(t, started(t, s.driver.cfg.Path, s.driver.space)), 1)
}

// The file is closed properly: nothing is left beside it but
// the lock file and the file of the commit counter.
func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	s := started(t, filepath.Join(dir, "imago.db"), testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", []float32{1, 0}), ports.NewUser()))
	closeStore(t, s)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{s.driver.cfg.Path, s.driver.cfg.Path + ".commits", s.driver.cfg.Path + ".lock"}, files)
}
