package duplicates_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/adapters/memindex"
	"imago/core/calibration"
	"imago/core/duplicates"
	"imago/ports"
	"imago/test/fixture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dimension = 64

// curve and rates are such that 80 % lies at cosine 0.45, as with a real network.
var (
	curve = calibration.Curve{Midpoint: 0.38, Steepness: 19.8}
	rates = calibration.Rates{{Cosine: 0.25, Rate: 0.024}, {Cosine: 0.35, Rate: 0.0017}, {Cosine: 0.45, Rate: 1e-4}}
)

// gallery is an index that is filled by hand.
type gallery struct {
	*memindex.Index
	rng *rand.Rand
	// fails, where set, is the error of searches.
	fails error
}

func newGallery() *gallery {
	return &gallery{Index: memindex.New(dimension, 1), rng: rand.New(rand.NewPCG(20261129, 1))}
}

func (g *gallery) Scan(_ context.Context, s ports.Selection) iter.Seq2[ports.Record, error] {
	g.Publish()
	return g.Index.Scan(s)
}

func (g *gallery) Get(_ context.Context, user ports.UserKey) ([]ports.Record, error) {
	return g.Index.Get(user), nil
}

func (g *gallery) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	if g.fails != nil {
		return nil, g.fails
	}
	return g.Index.Search(ctx, q)
}

// add adds faces of a user of a collection.
func (g *gallery) add(collection, user string, vectors ...[]float32) {
	for i, v := range vectors {
		g.Add(ports.Record{Collection: collection, UserID: user, FaceID: fmt.Sprintf("f%d", i), Vector: v})
	}
}

// stranger returns a face that resembles nobody: strangers of random direction have a cosine of
// about 0, give or take 0.125.
func (g *gallery) stranger() []float32 { return fixture.UnitVector(g.rng, dimension) }

// strangers adds users with one face each.
func (g *gallery) strangers(collection string, n int) {
	for i := range n {
		g.add(collection, fmt.Sprintf("stranger-%04d", i), g.stranger())
	}
}

// near returns a face at a cosine from another.
func (g *gallery) near(v []float32, cosine float64) []float32 {
	other := g.stranger()
	product := dot(v, other)
	out := make([]float32, len(v))
	rest := math.Sqrt(1 - product*product)
	for i := range v {
		out[i] = float32(cosine*float64(v[i]) + math.Sqrt(1-cosine*cosine)*(float64(other[i])-product*float64(v[i]))/rest)
	}
	return out
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// axes adds users with one face each who have nothing in common.
func (g *gallery) axes(collection string) {
	for i := range dimension {
		g.add(collection, fmt.Sprintf("axis-%02d", i), of(i))
	}
}

// of returns a face that has an equal part of some axes.
func of(axes ...int) []float32 {
	v := make([]float32, dimension)
	for _, i := range axes {
		v[i] = 1
	}
	return fixture.Normalise(v)
}

// options look at collection users.
func options() duplicates.Options {
	return duplicates.Options{Collection: "users", Curve: curve, Rates: rates, Together: 10, Limit: 100, Callers: 8}
}

// find looks at a gallery.
func find(t *testing.T, g *gallery, o duplicates.Options) duplicates.Report {
	t.Helper()
	r, err := duplicates.Find(t.Context(), g, o)
	require.NoError(t, err)
	return r
}

// pairsOf names the users of the pairs listed.
func pairsOf(r duplicates.Report) (all []string) {
	for _, p := range r.Closest {
		all = append(all, p.A.UserID+" "+p.B.UserID)
	}
	return all
}
