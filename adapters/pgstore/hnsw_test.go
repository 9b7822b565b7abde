package pgstore

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pgvector/pgvector-go"
	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// withGraph returns the configuration of a schema with the index.
func withGraph(t *testing.T) config.PGVectorStore {
	t.Helper()
	cfg := settingsFor(t, dsn(t))
	cfg.Index = config.IndexHNSW
	return cfg
}

// indexes returns the HNSW indexes of a schema with whether they are complete.
func indexes(t *testing.T, cfg config.PGVectorStore) map[string]bool {
	t.Helper()
	conn := outside(t, cfg.DSN.Reveal())
	defer func() { _ = conn.Close(t.Context()) }() // some ask many times
	rows, err := conn.Query(t.Context(), `
		SELECT relname::text, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
		WHERE relnamespace = $1::regnamespace AND starts_with(relname, $2)`, cfg.Schema, hnswPrefix)
	require.NoError(t, err)
	complete := map[string]bool{}
	for rows.Next() {
		var name string
		var valid bool
		require.NoError(t, rows.Scan(&name, &valid))
		complete[name] = valid
	}
	require.NoError(t, rows.Err())
	return complete
}

// The index is built for faces that are there already, and kept.
func TestGraphOfExistingFaces(t *testing.T) {
	t.Parallel()
	cfg := settingsFor(t, dsn(t))
	s := started(t, cfg, testSpace(2))
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	require.Empty(t, indexes(t, cfg))
	cfg.Index = config.IndexHNSW
	for range 2 {
		s = started(t, cfg, testSpace(2))
		require.Equal(t, map[string]bool{"faces_hnsw_half_m16_ef128": true}, indexes(t, cfg))
		require.Equal(t, []string{"ada/f"}, found(t, s, ports.Query{Vector: east, K: 1, MinScore: 0.9}))
	}
	// It is really asked: a search cannot do without the answer.
	s.driver.hnsw.search = `SELECT FROM nowhere WHERE $1 = $2 OR $3`
	_, err := s.Search(t.Context(), ports.Query{Collection: users, Vector: east, K: 1})
	require.ErrorIs(t, err, ports.ErrUnavailable)
}

// Of several imagos one builds the index and the others wait for it.
func TestGraphBuiltOnce(t *testing.T) {
	t.Parallel()
	cfg := withGraph(t)
	plain := cfg
	plain.Index = config.IndexExact
	bystander := started(t, plain, testSpace(2))
	other := inside(t, bystander, otherEnrols) // which the build has to wait for
	watcher := outside(t, dsn(t))
	fixture.Until(t, "no connection of the set-up is left", func() bool { return connections(t, watcher, bystander) == 2 })

	var log journal
	stores := make([]*store, 3)
	for i := range stores {
		stores[i] = guarded(New(cfg, testSpace(2), slog.New(slog.NewTextHandler(&log, nil))))
		require.NoError(t, stores[i].Start(t.Context()))
		defer closeStore(t, stores[i])
	}
	fixture.Until(t, "every store has a pool, a builder and what waits for the lock", func() bool { return connections(t, watcher, bystander) == 2+9 })
	require.NoError(t, other.Rollback(t.Context()))
	for _, s := range stores {
		<-s.driver.hnsw.ready
	}
	require.Equal(t, 1, strings.Count(log.String(), "building the index"), log.String())
	require.NotContains(t, log.String(), "could not")
}

// While the index is being built the store serves, and Close ends the build.
// The next start clears up and builds it again.
func TestGraphInterrupted(t *testing.T) {
	t.Parallel()
	cfg := withGraph(t)
	plain := cfg
	plain.Index = config.IndexExact
	other := inside(t, started(t, plain, testSpace(2)), otherEnrols) // which the build has to wait for

	s := guarded(New(cfg, testSpace(2), slog.New(slog.DiscardHandler)))
	require.NoError(t, s.Start(t.Context()))
	fixture.Until(t, "the build begins", func() bool { return len(indexes(t, cfg)) == 1 })
	require.False(t, s.driver.hnsw.usable())
	require.NoError(t, s.Add(t.Context(), record("bob", "f", north), ports.NewUser()))
	require.Equal(t, []string{"bob/f"}, found(t, s, ports.Query{Vector: north, K: 1, MinScore: 0.9}))
	closeStore(t, s)
	require.Equal(t, map[string]bool{s.driver.hnsw.name: false}, indexes(t, cfg))

	require.NoError(t, other.Rollback(t.Context()))
	s = started(t, cfg, testSpace(2))
	require.Equal(t, map[string]bool{s.driver.hnsw.name: true}, indexes(t, cfg))
	require.Equal(t, []string{"bob/f"}, found(t, s, ports.Query{Vector: north, K: 1, MinScore: 0.9}))
}

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// An index with other parameters is another one. Those that are not used are
// named in the log and left alone.
func TestGraphUnused(t *testing.T) {
	t.Parallel()
	cfg := withGraph(t)
	started(t, cfg, testSpace(2))
	cfg.HalfVec, cfg.HNSW.M = false, 8
	var log journal
	s := guarded(New(cfg, testSpace(2), slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, s.Start(t.Context()))
	<-s.driver.hnsw.ready
	closeStore(t, s)
	require.Equal(t, map[string]bool{"faces_hnsw_half_m16_ef128": true, "faces_hnsw_full_m8_ef128": true}, indexes(t, cfg))
	require.Contains(t, log.String(), `faces_hnsw_half_m16_ef128`)
	require.NotContains(t, log.String(), `DROP INDEX CONCURRENTLY \"`+cfg.Schema+`\".\"faces_hnsw_full`)
	require.Contains(t, log.String(), `DROP INDEX CONCURRENTLY \"`+cfg.Schema+`\".\"faces_hnsw_half`)
}

// A build that fails is reported, and the store goes on without.
func TestGraphFails(t *testing.T) {
	t.Parallel()
	cfg := withGraph(t)
	cfg.HNSW.M = 1 // pgvector wants at least 2
	var log journal
	s := guarded(New(cfg, testSpace(2), slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, s.Start(t.Context()))
	defer closeStore(t, s)
	fixture.Until(t, "the failure is reported", func() bool {
		return bytes.Contains([]byte(log.String()), []byte("index build failed"))
	})
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	require.Equal(t, []string{"ada/f"}, found(t, s, ports.Query{Vector: east, K: 1, MinScore: 0.9}))
}

// crowd returns n users whose vectors are of random direction, or gather around
// a fiftieth as many centres as faces do around people: two of one centre have
// a cosine of about 0.6.
func crowd(n, dimension int, clustered bool) []ports.Record {
	rng := seeded(uint64(n))
	centres := make([][]float32, n/50)
	for i := range centres {
		centres[i] = fixture.UnitVector(rng, dimension)
	}
	records := make([]ports.Record, n)
	for i := range records {
		v := fixture.UnitVector(rng, dimension)
		if clustered {
			for j, x := range centres[i%len(centres)] {
				v[j] = 1.2247*x + v[j]
			}
			v = fixture.Normalise(v)
		}
		records[i] = record(fmt.Sprintf("user-%06d", i), "f", v)
	}
	return records
}

// TestGraphRecall compares the answers of the index with those of the exact
// search. IMAGO_TEST_RECORDS sets how many faces there are. Vectors of random
// direction are the hardest there are: the best are hardly better than others.
func TestGraphRecall(t *testing.T) {
	dsn(t)
	t.Parallel()
	records := 2000
	if set := os.Getenv("IMAGO_TEST_RECORDS"); set != "" {
		var err error
		records, err = strconv.Atoi(set)
		require.NoError(t, err)
	}
	floor := map[bool]float64{true: 0.99, false: 0.9}
	for _, clustered := range []bool{true, false} {
		people := crowd(records, 128, clustered)
		for _, half := range []bool{true, false} {
			t.Run(fmt.Sprintf("clustered=%v/half=%v", clustered, half), func(t *testing.T) {
				cfg := settingsFor(t, dsn(t))
				pour(t, started(t, cfg, testSpace(128)), people)
				always(&cfg)
				cfg.HalfVec = half
				s := started(t, cfg, testSpace(128))
				require.True(t, strings.Contains(plan(t, s, s.driver.hnsw.search, users, pgvector.NewVector(people[0].Vector), rowsFor(10)), s.driver.hnsw.name))
				first, ten, sure := recall(t, s, people)
				t.Logf("%d faces: found %.3f of the best and %.3f of the ten best; %.3f of the searches needed the index alone",
					records, first, ten, sure)
				require.GreaterOrEqual(t, first, 0.99)
				require.GreaterOrEqual(t, ten, floor[clustered])
				require.GreaterOrEqual(t, sure, 0.9)
			})
		}
	}
}

// recall returns which part of the best match and of the ten best a search
// finds, and for which part of the searches the index sufficed. It looks for 200
// faces that are like one that is enrolled, with a cosine of about 0.9.
func recall(t *testing.T, s *store, people []ports.Record) (first, ten, sure float64) {
	t.Helper()
	rng := seeded(99)
	const queries = 200
	for range queries {
		v := fixture.UnitVector(rng, s.driver.space.Dimension)
		for i, x := range people[rng.IntN(len(people))].Vector {
			v[i] = x + 0.5*v[i]
		}
		q := ports.Query{Collection: users, Vector: fixture.Normalise(v), K: 10, MinScore: -1}
		want, err := s.driver.searchExact(t.Context(), q)
		require.NoError(t, err)
		got, err := s.Search(t.Context(), q)
		require.NoError(t, err)
		if got[0] == want[0] {
			first++
		}
		for _, m := range got {
			if slices.Contains(want, m) {
				ten++
			}
		}
		if _, enough, err := s.driver.searchHNSW(t.Context(), q); err == nil && enough {
			sure++
		}
	}
	return first / queries, ten / (10 * queries), sure / queries
}

// A build goes on when the start that began it is over.
func TestGraphOutlivesStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := withGraph(t)
	other := inside(t, fresh(t, 2), otherEnrols)
	s := guarded(New(cfg, testSpace(2), slog.New(slog.DiscardHandler)))
	require.NoError(t, s.Start(ctx))
	defer closeStore(t, s)
	cancel()
	require.NoError(t, other.Rollback(t.Context()))
	<-s.driver.hnsw.ready
}
