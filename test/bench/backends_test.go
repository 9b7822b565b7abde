package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/memstore"
	"imago/adapters/milvusstore"
	"imago/adapters/pgstore"
	"imago/config"
	"imago/core/vectorstore"
	"imago/ports"
	"imago/test/servers"
)

// backend is one kind of store with a gallery in it, durable.
type backend struct {
	name string
	open func(b *testing.B, people []ports.Record) ports.VectorStore
}

var quiet = slog.New(slog.DiscardHandler)

func started(b *testing.B, driver ports.StoreDriver, space ports.Space) ports.VectorStore {
	b.Helper()
	s := vectorstore.New("bench", driver, space)
	require.NoError(b, s.Start(b.Context()))
	b.Cleanup(func() { require.NoError(b, s.Close(context.WithoutCancel(b.Context()))) })
	return s
}

// exactBackends are the three drivers as they ship, and PostgreSQL searched in the database. The servers write to the disk
// as they would in production; Milvus ticks every 20 ms instead of every 200, as
// adapters/README.md describes.
func exactBackends(b *testing.B) []backend {
	b.Helper()
	shipped := config.Default().Store
	return []backend{
		{"memory", func(b *testing.B, people []ports.Record) ports.VectorStore {
			cfg := shipped.Memory
			cfg.Path = filepath.Join(b.TempDir(), "imago.db")
			return pour(b, started(b, memstore.New(cfg, space, quiet), space), people)
		}},
		{"pgvector", func(b *testing.B, people []ports.Record) ports.VectorStore {
			cfg := shipped.PGVector
			cfg.DSN = config.Secret(durablePostgres(b).DSN())
			return pour(b, replicated(b, cfg), people)
		}},
		{"database", func(b *testing.B, people []ports.Record) ports.VectorStore {
			cfg := shipped.PGVector
			cfg.DSN, cfg.Search = config.Secret(durablePostgres(b).DSN()), config.SearchDatabase
			return pour(b, started(b, pgstore.Searched(pgstore.New(cfg, space, quiet)), space), people)
		}},
		{"milvus", func(b *testing.B, people []ports.Record) ports.VectorStore {
			cfg := shipped.Milvus
			cfg.Address = durableMilvus(b).Address()
			s := started(b, milvusstore.New(cfg, space, quiet), space)
			pourMilvus(b, cfg, people)
			settleMilvus(b, cfg)
			return s
		}},
	}
}

func durablePostgres(b *testing.B) *servers.PostgresServer {
	b.Helper()
	s, err := servers.StartPostgres(servers.PostgresOptions{Durable: true})
	servers.Need(b, servers.PGVector, err)
	b.Cleanup(s.Stop)
	return s
}

func durableMilvus(b *testing.B) *servers.MilvusServer {
	b.Helper()
	s, err := servers.StartMilvus(servers.MilvusOptions{Durable: true})
	servers.Need(b, servers.Milvus, err)
	b.Cleanup(s.Stop)
	return s
}

// BenchmarkBackends measures every backend in one run: IMAGO_BENCH_FACES (20,000
// unless set) faces are enrolled, each acknowledged when durable, and then probes
// are searched and further users enrolled by one caller and by 64. Figures are
// milliseconds of one call (median and 99th percentile) and calls a second.
func BenchmarkBackends(b *testing.B) {
	people := crowd(galleryFaces(b), true)
	for _, backend := range exactBackends(b) {
		b.Run(backend.name, func(b *testing.B) {
			s := backend.open(b, people)
			n, err := s.Count(b.Context(), collection)
			require.NoError(b, err)
			require.Equal(b, len(people), n)
			probes := probesOf(people, 256)
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprintf("search/callers=%d", callers), func(b *testing.B) {
					measure(b, callers, func(i int) error {
						found, err := s.Search(b.Context(), query(probes[i%len(probes)]))
						if err == nil && len(found) == 0 {
							err = errors.New("nobody was found")
						}
						return err
					})
				})
			}
			var next atomic.Int64
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprintf("enrol/callers=%d", callers), func(b *testing.B) {
					measure(b, callers, func(int) error {
						n := int(next.Add(1))
						return s.Add(b.Context(), record(fmt.Sprintf("later-%d", n), people[n%len(people)].Vector), ports.NewUser())
					})
				})
			}
		})
	}
}

// measure shares b.N calls among callers that each wait for the answer.
func measure(b *testing.B, callers int, call func(i int) error) {
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	b.ResetTimer()
	began := time.Now()
	err := together(callers, func(int) error {
		for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
			at := time.Now()
			if err := call(i); err != nil {
				return err
			}
			took[i] = time.Since(at)
		}
		return nil
	})
	total := time.Since(began)
	b.StopTimer()
	require.NoError(b, err)
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "ms-p50")
	b.ReportMetric(ms(took[len(took)*99/100]), "ms-p99")
	b.ReportMetric(float64(b.N)/total.Seconds(), "calls/s")
	b.ReportMetric(0, "ns/op")
}

// together calls f from n goroutines and returns their errors.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { errs[i] = f(i) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// pour enrols everybody and reports how long that took.
func pour(b *testing.B, s ports.VectorStore, people []ports.Record) ports.VectorStore {
	b.Helper()
	const callers = 64
	began := time.Now()
	require.NoError(b, together(callers, func(caller int) error {
		for i := caller; i < len(people); i += callers {
			if err := s.Add(b.Context(), people[i], ports.NewUser()); err != nil {
				return err
			}
		}
		return nil
	}))
	took := time.Since(began)
	b.Logf("%d faces enrolled by %d callers in %.1f s, %.0f a second", len(people), callers, took.Seconds(), float64(len(people))/took.Seconds())
	return s
}

// galleryFaces is how many faces a gallery of these benchmarks has.
func galleryFaces(b *testing.B) int {
	b.Helper()
	set := os.Getenv("IMAGO_BENCH_FACES")
	if set == "" {
		return 20_000
	}
	n, err := strconv.Atoi(set)
	require.NoError(b, err)
	return n
}
