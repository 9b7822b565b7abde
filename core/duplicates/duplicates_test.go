package duplicates_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/calibration"
	"imago/core/duplicates"
)

// What is planted among strangers is found, and nothing else.
func TestFind(t *testing.T) {
	g := newGallery()
	g.strangers("users", 236)
	g.axes("users")
	// One person under two IDs, by the second face of one and the first of the other.
	ada := g.stranger()
	g.add("users", "ada", g.near(ada, 0.5), ada)
	g.add("users", "ada again", g.near(ada, 0.9), g.near(ada, 0.5))
	// Two people under one ID; somebody whose pictures are far apart, but connected.
	bob := g.stranger()
	bobs := [][]float32{bob, g.near(bob, 0.7), g.near(bob, -0.2), g.near(bob, 0.6)}
	g.add("users", "bob", bobs...)
	cyd := g.stranger()
	between := g.near(cyd, 0.6)
	g.add("users", "cyd", cyd, g.near(between, 0.6), between)
	// A face of several people's.
	g.add("users", "hub", of(1, 20, 30))

	done := 0
	o := options()
	o.Progress = func(n, total int) {
		require.Equal(t, 312, total)
		require.Greater(t, n, done)
		done = n
	}
	r := find(t, g, o)
	require.Equal(t, 312, done)
	require.Equal(t, duplicates.Size{Users: 305, Faces: 312, Several: 4}, r.Size)
	require.Equal(t, 312.*311/2-1-1-6-3, r.Comparisons)

	require.True(t, r.Chosen)
	require.Equal(t, []string{"ada ada again"}, pairsOf(r))
	require.Equal(t, 1, r.Pairs)
	require.Equal(t, duplicates.Face{Collection: "users", UserID: "ada", FaceID: "f1"}, r.Closest[0].A)
	require.Equal(t, duplicates.Face{Collection: "users", UserID: "ada again", FaceID: "f0"}, r.Closest[0].B)
	require.InDelta(t, 0.9, r.Closest[0].Score, 1e-6)
	require.Less(t, r.Closest[0].Chance.Model.Value, r.PairsChance.Model.Value)

	require.Equal(t, 1, r.Mixed)
	require.Equal(t, "bob", r.Farthest[0].UserID)
	require.Equal(t, [][]string{{"f0", "f1", "f3"}, {"f2"}}, r.Farthest[0].Groups)
	require.Less(t, r.Farthest[0].Score, curve.Cosine(10))
	require.InDelta(t, max(dot(bobs[2], bobs[0]), dot(bobs[2], bobs[1]), dot(bobs[2], bobs[3])), r.Farthest[0].Score, 1e-6)

	require.Equal(t, 1, r.Hubs)
	hub := r.Largest[0]
	require.Equal(t, "hub", hub.Face.UserID)
	require.GreaterOrEqual(t, hub.Users, 3)
	require.Less(t, hub.Probability, 0.01)
	require.InDelta(t, 0.577, hub.Scores[2], 0.001)
	require.Equal(t, 3, r.HubRules[0].Users)
	for i, rule := range r.HubRules[1:] {
		require.Equal(t, 4+i, rule.Users)
		require.Less(t, rule.Cosine, r.HubRules[i].Cosine)
	}
	require.Equal(t, 3, r.HubPairs, "the hub's pairs are told apart")
	require.Zero(t, r.Cut)
}

// Hubs with more pairs than are listed, all closer than a real one, take no place of it, whichever of
// the two users is looked at first.
func TestHubsDoNotFillThePairs(t *testing.T) {
	for _, name := range []string{"aaa", "zzz"} {
		g := newGallery()
		g.strangers("users", 600)
		g.axes("users")
		for i := range dimension / 4 {
			g.add("users", fmt.Sprint(name, i), of(4*i, 4*i+1, 4*i+2, 4*i+3))
		}
		person := g.stranger()
		g.add("users", "person", person)
		g.add("users", "person again", g.near(person, 0.495))
		o := options()
		o.Limit = 2
		o.Threshold = new(curve.Percent(0.49))
		r := find(t, g, o)
		require.Equal(t, 16, r.Hubs)
		require.Equal(t, 64, r.HubPairs)
		require.Contains(t, pairsOf(r), "person person again")
		for _, p := range r.Closest {
			require.NotContains(t, p.A.UserID+p.B.UserID, name)
		}
		require.Len(t, r.Largest, 2)
	}
}

// People differ in how many others they resemble: some more than expected make no hub, ten times as
// many do, however unlikely the former are by chance.
func TestHubsResembleTenTimesAsMany(t *testing.T) {
	around := func(n int, cosine float64) duplicates.Report {
		g := newGallery()
		g.strangers("users", 2000)
		popular := g.stranger()
		g.add("users", "popular", popular)
		for i := range n {
			g.add("users", fmt.Sprintf("zz-%02d", i), g.near(popular, cosine))
		}
		return find(t, g, options())
	}
	rules := around(0, 0.5).HubRules
	last := rules[len(rules)-1]
	require.InDelta(t, 10*last.Expected, last.Users, 1)
	require.Zero(t, around(last.Users-10, last.Cosine+0.01).Hubs)
	r := around(last.Users+10, last.Cosine+0.01)
	require.Equal(t, 1, r.Hubs)
	require.Equal(t, "popular", r.Largest[0].Face.UserID)
	require.GreaterOrEqual(t, r.Largest[0].Users, last.Users+10)
}

// Somebody who is enrolled many times is no hub.
func TestOnePersonManyTimesIsNoHub(t *testing.T) {
	g := newGallery()
	g.strangers("users", 100)
	v := g.stranger()
	for i := range 10 {
		g.add("users", fmt.Sprintf("many-%d", i), g.near(v, 0.9))
	}
	r := find(t, g, options())
	require.Zero(t, r.Hubs)
	require.Equal(t, 45, r.Pairs)
	require.Zero(t, r.HubPairs)
}

// Two collections: pairs of one user of each, and hubs of both.
func TestAgainst(t *testing.T) {
	g := newGallery()
	g.strangers("users", 36)
	g.axes("users")
	wanted := g.stranger()
	g.add("blacklist", "wanted", wanted)
	g.add("users", "zoe", g.near(wanted, 0.8))
	g.add("users", "zoe again", g.near(wanted, 0.8)) // not to be listed as a pair of users
	g.add("blacklist", "stranger-0001", g.stranger())
	g.add("blacklist", "hub", of(1, 2, 3))
	o := options()
	o.Against = "blacklist"
	r := find(t, g, o)
	require.Equal(t, []int{102, 3}, []int{r.Size.Users, r.Other.Users})
	require.Equal(t, 306., r.Comparisons)
	require.ElementsMatch(t, []string{"zoe wanted", "zoe again wanted"}, pairsOf(r))
	require.Equal(t, "blacklist", r.Closest[0].B.Collection)
	require.Zero(t, r.Mixed)
	require.Equal(t, 1, r.Hubs)
	require.Equal(t, duplicates.Face{Collection: "blacklist", UserID: "hub", FaceID: "f0"}, r.Largest[0].Face)
	require.Equal(t, "users", r.Largest[0].Closest[0].Collection)
	require.Equal(t, 3, r.HubPairs)
}

// The lists keep the worst, and everything is counted; the same gallery gives the same report.
func TestLimit(t *testing.T) {
	g := newGallery()
	for i := range 40 {
		v := g.stranger()
		g.add("users", fmt.Sprintf("a-%02d", i), v)
		g.add("users", fmt.Sprintf("b-%02d", i), g.near(v, 0.70+float64(i)/200))
		g.add("users", fmt.Sprintf("mixed-%02d", i), g.stranger(), g.stranger())
	}
	o := options()
	all := find(t, g, o)
	require.Equal(t, 40, all.Pairs)
	o.Limit = 3
	few := find(t, g, o)
	require.Equal(t, []int{40, all.Mixed}, []int{few.Pairs, few.Mixed})
	require.Equal(t, []string{"a-39 b-39", "a-38 b-38", "a-37 b-37"}, pairsOf(few))
	require.Equal(t, all.Closest[:3], few.Closest)
	require.Equal(t, all.Farthest[:3], few.Farthest)
	for range 5 {
		require.Equal(t, few, find(t, g, o))
	}
}

// The chosen threshold rises with the gallery, so that chance fills no list.
func TestChosenThreshold(t *testing.T) {
	before := 0.0
	for _, n := range []int{2, 20, 200, 2000} {
		g := newGallery()
		g.strangers("users", n)
		r := find(t, g, options())
		require.GreaterOrEqual(t, r.Threshold, max(80, before))
		require.InDelta(t, r.Threshold, curve.Percent(r.Cosine), 0.01)
		before = r.Threshold
		if r.Level == nil {
			require.LessOrEqual(t, r.PairsChance.Model.Value, float64(n)/1000*1.01)
		} else {
			require.LessOrEqual(t, *r.PairsChance.Gallery, float64(n)/1000*1.01)
		}
	}
	g := newGallery()
	g.strangers("users", 5000)
	o := options()
	o.Threshold = new(1.0)
	_, err := duplicates.Find(t.Context(), g, o)
	require.ErrorIs(t, err, duplicates.ErrThreshold)
	require.ErrorContains(t, err, "lowest usable threshold")
}

// Chance is what strangers do: as many pairs as are expected from the gallery's own scores, within a
// factor, and the model's figure where the table is right.
func TestChanceIsTrue(t *testing.T) {
	g := newGallery()
	g.strangers("users", 4000)
	r := find(t, g, options())
	require.NotNil(t, r.Level)
	compared := 0
	for _, b := range r.Scores {
		if *b.Chance.Gallery < 100 {
			break
		}
		require.InEpsilon(t, *b.Chance.Gallery, b.Pairs, 0.5, "from %v", b.From)
		compared++
	}
	require.Greater(t, compared, 5)
	require.Zero(t, r.Hubs, "strangers are no hubs")
	require.LessOrEqual(t, r.Pairs, 4000/1000*3)
}

// In a large gallery whose strangers are far less similar than the network's rates say, the
// threshold is the gallery's own: by the rates it would be out of reach.
func TestRatesThatAreTooHigh(t *testing.T) {
	g := newGallery()
	g.strangers("users", 20_000)
	for i := range 100 {
		v := g.stranger()
		g.add("users", fmt.Sprintf("twice-%02d-a", i), v)
		g.add("users", fmt.Sprintf("twice-%02d-b", i), g.near(v, 0.75))
	}
	o := options()
	o.Rates = calibration.Rates{{Cosine: 0.25, Rate: 0.9}, {Cosine: 0.35, Rate: 0.17}, {Cosine: 0.45, Rate: 0.01}}
	r := find(t, g, o)
	require.NotNil(t, r.Level)
	require.Less(t, r.Cosine, 0.7)
	require.GreaterOrEqual(t, r.Pairs, 100)
	require.Less(t, r.Pairs, 100+20_200/500) // what chance may add
}

// Without rates chance is unknown, and 80 % is the threshold.
func TestWithoutRates(t *testing.T) {
	g := newGallery()
	g.strangers("users", 50)
	v := g.stranger()
	g.add("users", "one", v)
	g.add("users", "two", g.near(v, 0.6))
	o := options()
	o.Rates = nil
	r := find(t, g, o)
	require.Equal(t, 80., r.Threshold)
	require.Equal(t, duplicates.Chance{}, r.PairsChance)
	require.Equal(t, []string{"one two"}, pairsOf(r))
	require.Nil(t, r.Hidden)
	require.Empty(t, r.HubRules)
}

func TestEmpty(t *testing.T) {
	g := newGallery()
	r := find(t, g, options())
	require.Zero(t, r.Size)
	require.Equal(t, 80., r.Threshold)
	g.add("users", "one", g.stranger())
	require.Equal(t, 1, find(t, g, options()).Size.Users)
	o := options()
	o.Against = "nobody"
	require.Zero(t, find(t, g, o).Pairs)
}

// Nothing hangs when a search fails or the caller leaves.
func TestErrors(t *testing.T) {
	g := newGallery()
	g.strangers("users", 100)
	g.fails = errors.New("broken")
	_, err := duplicates.Find(t.Context(), g, options())
	require.ErrorIs(t, err, g.fails)
	g.fails = nil
	ctx, cancel := context.WithCancel(t.Context())
	o := options()
	o.Progress = func(int, int) { cancel() }
	_, err = duplicates.Find(ctx, g, o)
	require.ErrorIs(t, err, context.Canceled)
}
