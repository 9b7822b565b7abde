package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"imago/ports"
)

// space is what the small networks produce.
var space = ports.Space{Model: "bench", Digest: strings.Repeat("b0", 32), Preprocessing: "RGB", Dimension: 128}

const collection = "users"

// crowd returns n users with one face each, the same in every run. Their vectors
// are of random direction, which is the hardest for an approximate index, or
// gather around a fiftieth as many centres as faces of people who look alike do:
// two of one centre have a cosine of about 0.6.
func crowd(n int, clustered bool) []ports.Record {
	rng := rand.New(rand.NewPCG(20261123, uint64(n)))
	centres := make([][]float32, max(1, n/50))
	for i := range centres {
		centres[i] = direction(rng)
	}
	records := make([]ports.Record, n)
	for i := range records {
		v := direction(rng)
		if clustered {
			v = towards(v, centres[i%len(centres)], 1.2247)
		}
		records[i] = record(fmt.Sprintf("user-%07d", i), v)
	}
	return records
}

// probesOf returns n vectors that are to enrolled ones as another picture of a
// person is: their cosine is about 0.7.
func probesOf(records []ports.Record, n int) [][]float32 {
	rng := rand.New(rand.NewPCG(20261124, uint64(len(records))))
	probes := make([][]float32, n)
	for i := range probes {
		probes[i] = towards(direction(rng), records[rng.IntN(len(records))].Vector, 0.98)
	}
	return probes
}

// query asks as a search with the shipped threshold does.
func query(probe []float32) ports.Query {
	return ports.Query{Collection: collection, Vector: probe, K: 10, MinScore: 0.48}
}

func record(user string, vector []float32) ports.Record {
	return ports.Record{
		Collection: collection, UserID: user, FaceID: "f", Vector: vector, Owner: "bench",
		EnrolledAt: time.Unix(1_780_000_000, 0).UTC(),
	}
}

// direction returns a unit vector of random direction.
func direction(rng *rand.Rand) []float32 { return directionOf(rng, space.Dimension) }

func directionOf(rng *rand.Rand, dimension int) []float32 {
	v := make([]float32, dimension)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return normalised(v)
}

// towards returns the unit vector of v plus weight times u.
func towards(v, u []float32, weight float32) []float32 {
	sum := make([]float32, len(v))
	for i := range v {
		sum[i] = v[i] + weight*u[i]
	}
	return normalised(sum)
}

func normalised(v []float32) []float32 {
	var squares float64
	for _, x := range v {
		squares += float64(x) * float64(x)
	}
	scale := float32(1 / math.Sqrt(squares))
	for i := range v {
		v[i] *= scale
	}
	return v
}
