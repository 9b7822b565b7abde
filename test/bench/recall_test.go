package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"github.com/stretchr/testify/require"

	"imago/adapters/milvusstore"
	"imago/adapters/pgstore"
	"imago/config"
	"imago/ports"
)

// indexPatience is how long an index may take to be built.
const indexPatience = 30 * time.Minute

// BenchmarkRecall compares the answers of the approximate indexes with brute
// force on a gallery of IMAGO_BENCH_FACES faces: recall@1 is the part of searches
// whose best match was found, recall@10 the part of the ten best, beside the time
// of a search. Parameters are those that ship, but for the number of candidates of
// a search.
func BenchmarkRecall(b *testing.B) {
	n := galleryFaces(b)
	postgres, milvus := durablePostgres(b).DSN(), durableMilvus(b).Address()
	for _, clustered := range []bool{true, false} {
		people := crowd(n, clustered)
		probes := probesOf(people, 200)
		truth := bruteForce(people, probes, 10)
		shape := map[bool]string{true: "clustered", false: "random"}[clustered]
		for _, half := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/pgvector/half=%v", shape, half), func(b *testing.B) {
				cfg := config.Default().Store.PGVector
				cfg.DSN, cfg.HalfVec = config.Secret(postgres), half
				cfg.Schema = fmt.Sprintf("recall_%s_%v", shape, half)
				recallOfPostgres(b, cfg, people, probes, truth)
			})
		}
		b.Run(shape+"/milvus", func(b *testing.B) {
			cfg := config.Default().Store.Milvus
			cfg.Address, cfg.Collection = milvus, "recall_"+shape
			recallOfMilvus(b, cfg, people, probes, truth)
		})
	}
}

func recallOfPostgres(b *testing.B, cfg config.PGVectorStore, people []ports.Record, probes [][]float32, truth [][]string) {
	s := started(b, pgstore.New(cfg, space, quiet), space)
	pour(b, s, people)
	compare(b, s, "exact", probes, truth)
	cfg.Index = config.IndexHNSW
	for _, ef := range []int{50, 200, 800} {
		cfg.HNSW.EfSearch = ef
		s := started(b, pgstore.New(cfg, space, quiet), space)
		awaitPostgres(b, cfg)
		compare(b, s, fmt.Sprintf("ef=%d", ef), probes, truth)
	}
}

// awaitPostgres waits until the index is built, and the store has noticed.
func awaitPostgres(b *testing.B, cfg config.PGVectorStore) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), indexPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, string(cfg.DSN))
	require.NoError(b, err)
	defer func() { _ = conn.Close(ctx) }()
	for built := false; !built; time.Sleep(100 * time.Millisecond) {
		require.NoError(b, conn.QueryRow(ctx, `SELECT count(*) > 0 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
			JOIN pg_am ON pg_am.oid = relam WHERE amname = 'hnsw' AND indisvalid AND relnamespace = to_regnamespace($1)`, cfg.Schema).Scan(&built))
	}
	time.Sleep(time.Second)
}

func recallOfMilvus(b *testing.B, cfg config.MilvusStore, people []ports.Record, probes [][]float32, truth [][]string) {
	cfg.Index = config.IndexHNSW
	started(b, milvusstore.New(cfg, space, quiet), space)
	pourMilvus(b, cfg, people)
	settleMilvus(b, cfg)
	for _, ef := range []int{50, 200, 800} {
		cfg.HNSW.EfSearch = ef
		compare(b, started(b, milvusstore.New(cfg, space, quiet), space), fmt.Sprintf("ef=%d", ef), probes, truth)
	}
}

// pourMilvus inserts the rows that enrolments would leave behind (see
// milvusstore's row), a thousand at a time: one by one, each with its claim, takes
// minutes.
func pourMilvus(b *testing.B, cfg config.MilvusStore, people []ports.Record) {
	b.Helper()
	c := milvusClient(b, cfg)
	for batch := range slices.Chunk(people, 1000) {
		n := len(batch)
		ids, collections, owners := make([]string, n), make([]string, n), make([]string, n)
		times, generations, heads, vectors := make([]int64, n), make([]int64, n), make([]bool, n), make([][]float32, n)
		for i, r := range batch {
			ids[i] = strings.Join([]string{r.Collection, r.UserID, r.FaceID, rand.Text()}, "\t")
			collections[i], owners[i], vectors[i] = r.Collection, r.Owner, r.Vector
			times[i], generations[i], heads[i] = r.EnrolledAt.UnixMicro(), 1, true
		}
		_, err := c.Insert(b.Context(), cfg.Collection, "faces",
			entity.NewColumnVarChar("id", ids), entity.NewColumnVarChar("collection", collections), entity.NewColumnVarChar("owner", owners),
			entity.NewColumnInt64("enrolled_at", times), entity.NewColumnInt64("expires_at", make([]int64, n)),
			entity.NewColumnInt64("generation", generations), entity.NewColumnBool("head", heads), entity.NewColumnVarChar("chip", make([]string, n)),
			entity.NewColumnFloatVector("vector", space.Dimension, vectors))
		require.NoError(b, err)
	}
}

func milvusClient(b *testing.B, cfg config.MilvusStore) client.Client {
	b.Helper()
	c, err := client.NewClient(b.Context(), client.Config{Address: cfg.Address})
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// settleMilvus has all faces indexed: what has been written last is searched by
// brute force until its segment is full, which would flatter the index.
func settleMilvus(b *testing.B, cfg config.MilvusStore) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), indexPatience)
	defer cancel()
	c := milvusClient(b, cfg)
	require.NoError(b, c.Flush(ctx, cfg.Collection, false))
	for total, indexed := int64(1), int64(0); indexed < total; time.Sleep(200 * time.Millisecond) {
		var err error
		total, indexed, err = c.GetIndexBuildProgress(ctx, cfg.Collection, "vector")
		require.NoError(b, err)
	}
	require.NoError(b, c.ReleaseCollection(ctx, cfg.Collection))
	require.NoError(b, c.LoadCollection(ctx, cfg.Collection, false))
}

// compare searches and says which part of the truth was found.
func compare(b *testing.B, s ports.VectorStore, name string, probes [][]float32, truth [][]string) {
	b.Run(name, func(b *testing.B) {
		var first, ten, n int
		measureOne(b, func(i int) {
			found, err := s.Search(b.Context(), ports.Query{Collection: collection, Vector: probes[i%len(probes)], K: 10, MinScore: -1})
			require.NoError(b, err)
			n++
			want := truth[i%len(probes)]
			for j, m := range found {
				if j == 0 && m.UserID == want[0] {
					first++
				}
				if slices.Contains(want, m.UserID) {
					ten++
				}
			}
		})
		b.ReportMetric(float64(first)/float64(n), "recall@1")
		b.ReportMetric(float64(ten)/float64(10*n), "recall@10")
	})
}

// measureOne is measure for one caller.
func measureOne(b *testing.B, call func(i int)) {
	measure(b, 1, func(i int) error { call(i); return nil })
}

// bruteForce returns the k best users of every probe.
func bruteForce(people []ports.Record, probes [][]float32, k int) [][]string {
	truth := make([][]string, len(probes))
	_ = together(2, func(worker int) error {
		for i := worker; i < len(probes); i += 2 {
			truth[i] = best(people, probes[i], k)
		}
		return nil
	})
	return truth
}

func best(people []ports.Record, probe []float32, k int) []string {
	type scored struct {
		user  string
		score float64
	}
	all := make([]scored, len(people))
	for i, r := range people {
		all[i] = scored{r.UserID, product(probe, r.Vector)}
	}
	slices.SortFunc(all, func(a, b scored) int {
		if a.score > b.score {
			return -1
		}
		return 1
	})
	users := make([]string, 0, k)
	for _, s := range all[:k] {
		users = append(users, s.user)
	}
	return users
}

func product(a, b []float32) (sum float64) {
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}
