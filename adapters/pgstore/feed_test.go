package pgstore

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

func position(t *testing.T, s *store) ports.Position {
	t.Helper()
	at, err := s.driver.Head(t.Context())
	require.NoError(t, err)
	return at
}

// changedSince returns what has changed, which must be known.
func changedSince(t *testing.T, s *store, from ports.Position) ports.Delta {
	t.Helper()
	delta, err := s.driver.Since(t.Context(), from, 100)
	require.NoError(t, err)
	require.False(t, delta.Unknown)
	return delta
}

func adding(t *testing.T, s *store, user string) {
	t.Helper()
	require.NoError(t, s.Add(t.Context(), record(user, "f", east), ports.NewUser()))
}

func TestChangesAreLogged(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	start := position(t, s)
	require.Equal(t, start, position(t, s))
	require.Equal(t, ports.Delta{To: start}, changedSince(t, s, start))

	adding(t, s, "ada")
	adding(t, s, "bob")
	require.NoError(t, s.Add(t.Context(), record("bob", "g", north), ports.FurtherFace(ports.Everybody())))
	require.NoError(t, s.Add(t.Context(), record("ada", "h", north), ports.Replacement(ports.OwnedBy("gateway"))))
	require.ErrorIs(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()), ports.ErrExists)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey("bob")), ports.Everybody()))
	adding(t, s, "eve")

	delta := changedSince(t, s, start)
	require.Equal(t, position(t, s), delta.To)
	require.Equal(t, start.Number+6, delta.To.Number, "a refused change is no commit")
	require.Equal(t, []ports.UserKey{userKey("ada"), userKey("bob"), userKey("eve")}, delta.Users)
	require.Equal(t, []ports.Record{record("ada", "h", north), record("eve", "f", east)}, delta.Faces)
}

// Where the log cannot tell, it says so.
func TestUnknownPositions(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	adding(t, s, "ada")
	before := position(t, s)
	unknown := func(from ports.Position, limit int) {
		t.Helper()
		delta, err := s.driver.Since(t.Context(), from, limit)
		require.NoError(t, err)
		require.True(t, delta.Unknown)
		require.Empty(t, delta.Users)
	}
	other := before
	other.Token = "00000000-0000-0000-0000-000000000000" + other.Token[36:]
	unknown(other, 100)
	unknown(ports.Position{Number: before.Number + 1, Token: before.Token}, 100)

	adding(t, s, "bob")
	adding(t, s, "eve")
	unknown(before, 1)
	require.Len(t, changedSince(t, s, before).Users, 2)

	conn := outside(t, dsn(t))
	faces := s.driver.sql("{schema}.faces")
	_, err := conn.Exec(t.Context(), "ALTER TABLE "+faces+" DISABLE TRIGGER log_deletes")
	require.NoError(t, err)
	_, err = s.driver.Head(t.Context())
	require.ErrorIs(t, err, errNoLog)
	_, err = conn.Exec(t.Context(), "ALTER TABLE "+faces+" ENABLE ALWAYS TRIGGER log_deletes")
	require.NoError(t, err)
	require.NotEqual(t, before.Token, position(t, s).Token)
	unknown(before, 100)

	now := position(t, s)
	_, err = conn.Exec(t.Context(), "TRUNCATE "+faces)
	require.NoError(t, err)
	unknown(now, 100)
}

// The log is shortened, and knows to which positions it reaches back.
func TestPruning(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	first := position(t, s)
	adding(t, s, "ada")
	adding(t, s, "bob")
	last := position(t, s)
	require.NoError(t, s.driver.prune(t.Context(), time.Hour))
	require.Len(t, changedSince(t, s, first).Users, 2, "nothing is old enough")
	for range 2 {
		require.NoError(t, s.driver.prune(t.Context(), 0))
	}
	var users, commits int
	require.NoError(t, outside(t, dsn(t)).QueryRow(t.Context(),
		s.driver.sql(`SELECT (SELECT count(*) FROM {schema}.changed_users), (SELECT count(*) FROM {schema}.commits)`)).Scan(&users, &commits))
	require.Equal(t, []int{0, 1}, []int{users, commits})
	delta, err := s.driver.Since(t.Context(), first, 100)
	require.NoError(t, err)
	require.True(t, delta.Unknown)
	adding(t, s, "eve")
	require.Equal(t, []ports.UserKey{userKey("eve")}, changedSince(t, s, last).Users, "whoever was up to date still is")
}

// Writes of several stores at once are counted once each, in an order that every reader
// agrees with: what a delta does not have yet is in the next one.
func TestReadersMissNothing(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	second := started(t, s.driver.cfg, s.driver.space)
	const each = 100
	var writers sync.WaitGroup
	for i := range 16 {
		writers.Go(func() {
			w := []*store{s, second}[i%2]
			for n := range each {
				user := fmt.Sprintf("%d-%d", i, n)
				if err := w.Add(t.Context(), record(user, "f", east), ports.NewUser()); err != nil {
					t.Error(err)
				}
				if n%3 == 0 {
					if err := w.Remove(t.Context(), ports.WholeUser(userKey(user)), ports.Everybody()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	copied := map[string]bool{}
	at, err := s.driver.Snapshot(t.Context(), func(r ports.Record) error { copied[r.UserID] = true; return nil })
	require.NoError(t, err)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		delta, err := s.driver.Since(t.Context(), at, 10_000)
		require.NoError(t, err)
		require.False(t, delta.Unknown)
		require.GreaterOrEqual(t, delta.To.Number, at.Number)
		for _, u := range delta.Users {
			delete(copied, u.UserID)
		}
		for _, f := range delta.Faces {
			copied[f.UserID] = true
		}
		at = delta.To
	}
	n, err := s.Count(t.Context(), users)
	require.NoError(t, err)
	require.Len(t, copied, n)
	require.Equal(t, 16*(each-(each+2)/3), n)
}

// Writes that share a transaction do not share each other's fate: one that waits for a lock
// which somebody holds leaves the others alone.
func TestBlockedWriteBlocksNobody(t *testing.T) {
	t.Parallel()
	s, release := blocked(t, exact)
	answer := make(chan error, 1)
	go func() { answer <- s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody()) }()
	waits(t, outside(t, dsn(t)), s.driver.cfg)
	for i := range 20 {
		adding(t, s, fmt.Sprintf("user-%d", i))
	}
	release()
	require.NoError(t, <-answer)
}

// BenchmarkSnapshot reads all faces, as an imago does at its start, without chips in the table
// and with. IMAGO_TEST_RECORDS is how many there are: with chips 100,000 take 4 GB of the disk.
func BenchmarkSnapshot(b *testing.B) {
	dsn(b)
	rng := seeded(1)
	for _, size := range []int{0, 30_000} {
		b.Run(fmt.Sprintf("chips=%d", size), func(b *testing.B) {
			s := fresh(b, 128)
			records := make([]ports.Record, benchRecords(b))
			shared := chip(1, size)
			for i := range records {
				records[i] = record(fmt.Sprintf("user-%d", i), "f", fixture.UnitVector(rng, 128))
				records[i].Chip = shared
			}
			pour(b, s, records)
			for b.Loop() {
				n := 0
				_, err := s.driver.Snapshot(b.Context(), func(ports.Record) error { n++; return nil })
				require.NoError(b, err)
				require.Equal(b, len(records), n)
			}
		})
	}
}

// BenchmarkScanWithChips reads 1000 faces with chips.
func BenchmarkScanWithChips(b *testing.B) {
	s := fresh(b, 128)
	records := make([]ports.Record, 1000)
	for i := range records {
		records[i] = withChips(record(fmt.Sprintf("user-%d", i), "f", fixture.UnitVector(seeded(uint64(i)), 128)), uint64(i))
	}
	pour(b, s, records)
	selection := ports.Everything(users, "")
	selection.WithChips = true
	for b.Loop() {
		n := 0
		for _, err := range s.Scan(b.Context(), selection) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, len(records), n)
	}
}
