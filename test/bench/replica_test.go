package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/pgstore"
	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// replicated opens a store that searches PostgreSQL's faces in memory, and waits for them.
func replicated(b *testing.B, cfg config.PGVectorStore) ports.VectorStore {
	b.Helper()
	cfg.Search = config.SearchReplica
	s := started(b, pgstore.Searched(pgstore.New(cfg, space, quiet)), space)
	fixture.Until(b, "the faces are in memory", func() bool { return s.(ports.HealthChecker).CheckHealth(b.Context()) == nil })
	return s
}

// BenchmarkReplicas measures what several instances over one database do together, each with
// the same number of callers: searches alone, and searches while one caller of each enrols,
// so that every check finds changes. IMAGO_BENCH_FACES is the size of the gallery. "open" is
// how long an instance takes to read it, until it is ready.
func BenchmarkReplicas(b *testing.B) {
	people := crowd(galleryFaces(b), true)
	cfg := config.Default().Store.PGVector
	cfg.DSN = config.Secret(durablePostgres(b).DSN())
	var stores []ports.VectorStore
	stores = append(stores, replicated(b, cfg))
	pour(b, stores[0], people)
	probes := probesOf(people, 256)
	for _, n := range []int{1, 2, 4} {
		for len(stores) < n {
			began := time.Now()
			stores = append(stores, replicated(b, cfg))
			b.Logf("instance %d is ready after %.2f s", len(stores), time.Since(began).Seconds())
		}
		search := func(i int) error {
			found, err := stores[i%n].Search(b.Context(), query(probes[i%len(probes)]))
			if err == nil && len(found) == 0 {
				err = fmt.Errorf("probe %d is not found", i)
			}
			return err
		}
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("instances=%d/callers=%d", n, callers), func(b *testing.B) { measure(b, callers, search) })
		}
		b.Run(fmt.Sprintf("instances=%d/callers=64/enrolling", n), func(b *testing.B) {
			stop, stopped := make(chan struct{}), make(chan error, n)
			for i, s := range stores[:n] {
				go func() {
					for k := 0; ; k++ {
						select {
						case <-stop:
							stopped <- nil
							return
						default:
						}
						later := record(fmt.Sprintf("later-%d-%d-%d-%d", n, i, b.N, k), people[k%len(people)].Vector)
						if err := s.Add(b.Context(), later, ports.NewUser()); err != nil {
							stopped <- err
							return
						}
					}
				}()
			}
			measure(b, 64, search)
			close(stop)
			for range n {
				require.NoError(b, <-stopped)
			}
		})
	}
}
