package bench

import (
	"bufio"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/pipeline"
)

// TestWriteEmbeddings writes a large gallery made of real embeddings to the file that
// IMAGO_BENCH_WRITE names, for BenchmarkVectors of adapters/exactindex. There are
// pictures of few people only, so that a row is a mixture of the embeddings of three
// pictures, chosen at random, with as much noise: the directions that real embeddings
// prefer are kept, and so is that some rows are alike. IMAGO_BENCH_ROWS rows, and 64
// queries near some of them.
func TestWriteEmbeddings(t *testing.T) {
	path := os.Getenv("IMAGO_BENCH_WRITE")
	if path == "" {
		return // nobody asks for it
	}
	n, err := strconv.Atoi(os.Getenv("IMAGO_BENCH_ROWS"))
	require.NoError(t, err)
	people := embeddings(t)
	f, err := os.Create(path)
	require.NoError(t, err)
	out := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(20260102, 31))
	var queries [][]float32
	for i := range n {
		v := mix(rng, people)
		require.NoError(t, binary.Write(out, binary.LittleEndian, v))
		if i%(n/64) == 0 && len(queries) < 64 {
			queries = append(queries, mix(rng, [][]float32{v}))
		}
	}
	for _, q := range queries {
		require.NoError(t, binary.Write(out, binary.LittleEndian, q))
	}
	require.NoError(t, out.Flush())
	require.NoError(t, f.Close())
	t.Logf("%d rows of %d numbers, of %d pictures", n, len(people[0]), len(people))
}

// mix returns the direction of a random mixture of three vectors and noise of the
// same length: a cosine of about 0.7 to the mixture.
func mix(rng *rand.Rand, vectors [][]float32) []float32 {
	sum := make([]float64, len(vectors[0]))
	for range 3 {
		weight := math.Abs(rng.NormFloat64())
		for i, x := range vectors[rng.IntN(len(vectors))] {
			sum[i] += weight * float64(x)
		}
	}
	length := norm(sum) / math.Sqrt(float64(len(sum)))
	for i := range sum {
		sum[i] += length * rng.NormFloat64()
	}
	length = norm(sum)
	out := make([]float32, len(sum))
	for i := range out {
		out[i] = float32(sum[i] / length)
	}
	return out
}

func norm(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}

// embeddings returns those of the largest face of every picture that has one.
func embeddings(t *testing.T) (all [][]float32) {
	extractor := pipeline.New(t).Extractor()
	for _, pattern := range []string{"*.jpg", "cast/*.png"} {
		files, err := filepath.Glob(filepath.Join(fixture.Faces(t), pattern))
		require.NoError(t, err)
		for _, file := range files {
			picture, err := os.ReadFile(file)
			require.NoError(t, err)
			if v, err := extractor.Probe(t.Context(), picture); err == nil {
				all = append(all, v)
			}
		}
	}
	require.Greater(t, len(all), 30)
	return all
}
