package reembed_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/reembed"
	"imago/ports"
)

// at returns faces of a user at angles in degrees.
func at(collection, user string, angles ...float64) (faces []ports.Record) {
	for _, a := range angles {
		a *= math.Pi / 180
		faces = append(faces, ports.Record{Collection: collection, UserID: user, Vector: []float32{float32(math.Cos(a)), float32(math.Sin(a))}})
	}
	return faces
}

// thresholds are 60 degrees before; after, 30 and for staff 90.
func thresholds(collection string) (before, after reembed.Threshold) {
	after = reembed.Threshold{Percent: 90, Cosine: math.Cos(math.Pi / 6)}
	if collection == "staff" {
		after = reembed.Threshold{Percent: 50, Cosine: 0}
	}
	return reembed.Threshold{Percent: 80, Cosine: 0.5}, after
}

func TestComparison(t *testing.T) {
	c := reembed.NewComparer(thresholds, rand.New(rand.NewPCG(1, 2)))
	c.Add(nil, nil)
	// Of one user: 0-50 before, 0-100 not; all three pairs after.
	c.Add(at("users", "ada", 0, 50, 100), at("users", "ada", 0, 10, 20))
	c.Add(at("users", "bob", 50), at("users", "bob", 180))
	c.Add(at("users", "eve", 180), at("users", "eve", 190))
	c.Add(at("staff", "ada", 0), at("staff", "ada", 0))
	c.Add(at("staff", "bob", 70), at("staff", "bob", 80))
	for range 2 {
		require.Equal(t, []reembed.Comparison{
			{Collection: "users", Before: 80, After: 90, SamePerson: reembed.Pairs{Pairs: 3, Before: 2, After: 3}, Strangers: reembed.Pairs{Pairs: 3, Before: 1, After: 1}},
			{Collection: "staff", Before: 80, After: 50, Strangers: reembed.Pairs{Pairs: 1, Before: 0, After: 1}},
		}, c.Comparisons())
	}
}

// Of many users a sample is compared, of which all of them are part alike.
func TestSampleOfStrangers(t *testing.T) {
	c := reembed.NewComparer(thresholds, rand.New(rand.NewPCG(1, 2)))
	for i := range 20_000 {
		angle := float64(0) // before, the first half and the second are alike
		if i >= 10_000 {
			angle = 120
		}
		face := at("users", fmt.Sprint(i), angle)
		c.Add(face, face)
	}
	strangers := c.Comparisons()[0].Strangers
	require.Equal(t, 1000*999/2, strangers.Pairs)
	require.Equal(t, strangers.Before, strangers.After)
	require.InDelta(t, 0.5, float64(strangers.Before)/float64(strangers.Pairs), 0.01)
}
