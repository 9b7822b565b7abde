package memstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/ports"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func closeStore(tb testing.TB, s *Store) {
	tb.Helper()
	// The test's context has ended when clean-ups run.
	require.NoError(tb, s.Close(context.WithoutCancel(tb.Context())))
}

func testSpace(dimension int) ports.Space {
	return ports.Space{Model: "tiny", Digest: strings.Repeat("0f", 32), Preprocessing: "RGB", Dimension: dimension}
}

// users is the collection of the tests.
const users = "users"

func seeded(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(20260102, stream)) }

// unitVector returns a vector of random direction.
func unitVector(rng *rand.Rand, dimension int) []float32 {
	v := make([]float32, dimension)
	var sum float64
	for i := range v {
		v[i] = float32(rng.NormFloat64())
		sum += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
	return v
}

// record returns the first face of a user.
func record(user string, vector []float32) ports.Record {
	return ports.Record{
		Collection: users, UserID: user, FaceID: "f", Vector: vector,
		Owner: "gateway", EnrolledAt: time.UnixMicro(1767225600123456).UTC(),
	}
}

// crowd returns n users with vectors of random direction.
func crowd(n, dimension int) []ports.Record {
	rng := seeded(uint64(n))
	records := make([]ports.Record, n)
	for i := range records {
		records[i] = record(fmt.Sprintf("user-%06d", i), unitVector(rng, dimension))
	}
	return records
}

// together calls f(0) to f(n-1), each on its own goroutine, and returns the
// errors by index.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

// enrol adds records many at a time.
func enrol(tb testing.TB, s *Store, records []ports.Record) {
	tb.Helper()
	const callers = 64
	require.NoError(tb, errors.Join(together(callers, func(caller int) error {
		for i := caller; i < len(records); i += callers {
			if err := s.Add(tb.Context(), records[i], ports.First); err != nil {
				return err
			}
		}
		return nil
	})...))
}

// contents returns all records of the collection of the tests.
func contents(tb testing.TB, s *Store) []ports.Record {
	tb.Helper()
	var all []ports.Record
	for r, err := range s.Scan(tb.Context(), ports.Everything(users, "")) {
		require.NoError(tb, err)
		all = append(all, r)
	}
	return all
}

// reopened closes a store and opens its file again.
func reopened(tb testing.TB, s *Store) *Store {
	tb.Helper()
	closeStore(tb, s)
	return started(tb, s.cfg.Path, s.space)
}

// submit hands a change to the writer, whose commits are blocked, and returns once
// it is being committed, alone.
func submit(tb testing.TB, s *Store, c change) *write {
	tb.Helper()
	op := &write{change: c, answer: make(chan error, 1)}
	s.writer.queue <- op
	until(tb, "the write is taken up", op.settled.Load)
	stacks := make([]byte, 1<<20)
	until(tb, "it is committed", func() bool {
		return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("(*database).commit("))
	})
	return op
}

// until polls a condition that other goroutines bring about, and gives up when
// that cannot be expected any more.
func until(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			require.FailNow(tb, "it never happens that "+what)
		}
	}
}

// outside opens the file of a running store as another program would.
func outside(tb testing.TB, path string) *sql.Conn {
	tb.Helper()
	pool, err := sql.Open("sqlite3", path)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = pool.Close() })
	conn, err := pool.Conn(tb.Context())
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// blockCommits keeps the writer from committing until release is called, by
// writing to the file from outside.
func blockCommits(tb testing.TB, s *Store) (release func()) {
	tb.Helper()
	require.NoError(tb, s.writer.database.exec("PRAGMA busy_timeout = 120000"))
	conn := outside(tb, s.cfg.Path)
	ctx := context.WithoutCancel(tb.Context())
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	require.NoError(tb, err)
	return func() {
		_, err := conn.ExecContext(ctx, "ROLLBACK")
		require.NoError(tb, err)
	}
}

// ignore is for those who want no record.
func ignore(ports.Record) {}
