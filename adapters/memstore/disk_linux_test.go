package memstore

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// limitFiles keeps this process from making any file longer than n bytes, as a
// disk without room does, until the limit is lifted.
func limitFiles(t *testing.T, n int64) (lift func()) {
	t.Helper()
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(n), Max: before.Max}))
	return func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)) }
}

// TestLogCannotGrow lets the write of a commit itself fail, at different places
// of the log: in the middle of a page, between pages, before the last.
func TestLogCannotGrow(t *testing.T) {
	// The kernel would otherwise end the process, as it does with a shell's ulimit.
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() { signal.Reset(syscall.SIGXFSZ) })
	s := durable(t, 128)
	records := crowd(400, 128)
	enrol(t, s, records[:200])
	next := 200
	for _, room := range []int64{0, 10, pageSize / 2, pageSize + 24, 2*pageSize + 100, 20 * pageSize} {
		log, err := os.Stat(filepath.Join(s.driver.cfg.Path + "-wal"))
		require.NoError(t, err)
		lift := limitFiles(t, log.Size()+room)
		errs := fixture.Together(30, func(i int) error { return s.Add(t.Context(), records[next+i], ports.NewUser()) })
		health := s.CheckHealth(t.Context())
		lift()
		require.NoError(t, health)
		for i, err := range errs {
			if err != nil {
				require.ErrorIs(t, err, ports.ErrUnavailable)
				_, absent := s.Get(t.Context(), userKey(records[next+i].UserID))
				require.ErrorIs(t, absent, ports.ErrNotFound)
				require.NoError(t, s.Add(t.Context(), records[next+i], ports.NewUser()))
			}
		}
		if room < pageSize {
			require.NotContains(t, errs, error(nil), "room for %d bytes", room)
		}
		next += len(errs)
		require.Equal(t, records[:next], contents(t, s))
	}
	require.Equal(t, records[:next], contents(t, reopened(t, s)))
}
