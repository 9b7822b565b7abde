package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// angle is a picture whose template lies at an angle, of any length.
func angle(person, picture string, degrees float64) template {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	return template{person, picture, []float32{float32(3 * cos), float32(3 * sin)}}
}

// Two pictures of a, two of b, one of c.
func few() []template {
	return []template{angle("a", "a1", 0), angle("a", "a2", 30), angle("b", "b1", 90), angle("b", "b2", 100), angle("c", "c1", 60)}
}

func cos(degrees float64) float64 { return math.Cos(degrees * math.Pi / 180) }

// Pictures as they are: each pair counts once, and a tie with a stranger is lost.
func TestPicturesAsTheyAre(t *testing.T) {
	all, err := measure(input{Gallery: few(), Shipped: cos(35)})
	require.NoError(t, err)
	require.Len(t, all, 1)
	o := all[0]
	require.Equal(t, []int{5, 3, 2, 8}, []int{o.Searched, o.RankOne, o.Mated, o.Strangers}, "a2 has a1 and c1 at 30 degrees each")
	require.InDelta(t, cos(30), o.HighestStranger, 1e-6)
	require.InDelta(t, cos(30), o.LowestMated, 1e-6)
	require.Equal(t, 2, o.Shipped.FalseMatch)
	require.Equal(t, 0, o.Shipped.FalseNonMatch)
}

// Copies are searched for among the pictures as they are, without their own
// original, at the thresholds of these.
func TestCopies(t *testing.T) {
	turned := []template{angle("a", "a1", 50), angle("b", "b1", 95)}
	all, err := measure(input{Gallery: few(), Copies: []copied{{"turned", turned}}, Shipped: cos(12)})
	require.NoError(t, err)
	o := all[1]
	require.Equal(t, "turned", o.Name)
	// a1 at 50 degrees is nearer to c1 (60) than to a2 (30).
	require.Equal(t, []int{2, 1, 2, 6}, []int{o.Searched, o.RankOne, o.Mated, o.Strangers})
	require.InDelta(t, (cos(50)+cos(5))/2, o.Original, 1e-6)
	require.Equal(t, 1, o.Shipped.FalseMatch)
	require.Equal(t, 1, o.Shipped.FalseNonMatch)
}

// d′ is the distance of the means in units of the deviation of both kinds.
func TestSeparation(t *testing.T) {
	gallery := []template{angle("a", "a1", 0), angle("a", "a2", 0), angle("b", "b1", 60), angle("b", "b2", 120)}
	all, err := measure(input{Gallery: gallery})
	require.NoError(t, err)
	// Mated 1 and cos 60; strangers cos 60 and cos 120, twice each.
	require.InDelta(t, 0.75/math.Sqrt((0.0625+0.25)/2), all[0].Separation, 1e-6)
}

func TestRefused(t *testing.T) {
	_, err := measure(input{Gallery: few(), Rates: []float64{1e-3}})
	require.ErrorContains(t, err, "8 pairs of strangers are too few")
	_, err = measure(input{Gallery: append(few(), template{"d", "d1", []float32{1}})})
	require.ErrorContains(t, err, "vectors of")
	require.Error(t, run(strings.NewReader("{"), &strings.Builder{}))
}

// Thresholds of wanted rates come from the pictures as they are and are those of
// `imago evaluate`.
func TestThresholds(t *testing.T) {
	asked := input{Rates: []float64{1e-2, 1e-3}}
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 60 {
		vector := make([]float32, 32)
		for j := range vector {
			vector[j] = float32(r.NormFloat64())
		}
		asked.Gallery = append(asked.Gallery, template{fmt.Sprint(i / 2), fmt.Sprint(i), vector})
	}
	asked.Copies = []copied{{"same", asked.Gallery}}
	in, err := json.Marshal(asked)
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, run(strings.NewReader(string(in)), &out))
	var all []outcome
	require.NoError(t, json.Unmarshal([]byte(out.String()), &all))
	require.Len(t, all[0].Points, 2)
	require.Less(t, all[0].Points[0].Cosine, all[0].Points[1].Cosine)
	for i, p := range all[0].Points {
		require.Equal(t, p.Cosine, all[1].Points[i].Cosine)
		require.Equal(t, 2*p.FalseMatch, all[1].Points[i].FalseMatch, "each pair twice")
	}
}
