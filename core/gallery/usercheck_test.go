package gallery_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/gallery"
	"imago/ports"
)

var checkedLists = []gallery.Collection{{Name: "vip"}, {Name: "blacklist", Shared: true}}

func TestCensus(t *testing.T) {
	c := gallery.NewUserCheck(checkedLists)
	for _, r := range []ports.Record{
		{Collection: "users", UserID: "Vip", Owner: "a"}, {Collection: "users", UserID: "Vip", Owner: "b"}, {Collection: "users", UserID: "a\u200b"},
		{Collection: "users", UserID: "fine"}, {Collection: "users", UserID: "verify", Owner: "a"},
		{Collection: "blacklist", UserID: "fine", Owner: "a"}, {Collection: "blacklist", UserID: "fine", Owner: "a"},
		{Collection: "blacklist", UserID: "none"}, {Collection: "blacklist", UserID: "none", Owner: "a"},
		{Collection: "blacklist", UserID: "two", Owner: "a"}, {Collection: "blacklist", UserID: "two", Owner: "b"}, {Collection: "blacklist", UserID: "two", Owner: "c"},
		{Collection: "vip", UserID: "fine"}, {Collection: "gone", UserID: "x", Owner: "a"}, {Collection: "gone", UserID: "x", Owner: "b"},
	} {
		c.Add(r)
	}
	require.Equal(t, []int{1, 2, 2, 1}, []int{c.NamedAsList.Count, c.InvalidID.Count, c.Ownerless.Count, c.Unconfigured.Count})
	require.ErrorContains(t, c.Err(), `"Vip" in users (the list vip)`)
	require.Len(t, c.Warnings(false), 3)
	for _, text := range c.Warnings(false) {
		require.NotContains(t, text, "verify")
	}
	require.Contains(t, c.Warnings(true)[0], `"a\u200b" in users`)
	require.Contains(t, c.Warnings(true)[1], `"two" in blacklist`)
	require.NoError(t, gallery.NewUserCheck(checkedLists).Err())
	require.Empty(t, gallery.NewUserCheck(checkedLists).Warnings(true))
}

// However many there are, a few are named.
func TestCensusIsBrief(t *testing.T) {
	c := gallery.NewUserCheck(checkedLists)
	for i := range 1000 {
		c.Add(ports.Record{Collection: "users", UserID: fmt.Sprintf("%d ", i)})
	}
	require.Contains(t, c.Warnings(true)[0], "and 995 more")
}

func TestAdmission(t *testing.T) {
	faces := func(user, list string, owners ...string) (all []ports.Record) {
		for _, owner := range owners {
			all = append(all, ports.Record{Collection: list, UserID: user, Owner: owner})
		}
		return all
	}
	plain, given := gallery.RejectUnreachable(checkedLists, ""), gallery.RejectUnreachable(checkedLists, "gateway")
	for _, refused := range [][]ports.Record{faces("VIP", "users", "a"), faces("x ", "users", "a"), faces("Search", "vip", "a")} {
		require.Contains(t, plain(refused), "its ID is not accepted")
		require.Contains(t, given(refused), "its ID is not accepted")
	}
	for _, stray := range [][]ports.Record{faces("x", "blacklist", ""), faces("x", "blacklist", "a", "b"), faces("x", "blacklist", "a", "")} {
		require.Contains(t, plain(stray), "--owner")
		require.Empty(t, given(stray))
		for _, r := range stray {
			require.Equal(t, "gateway", r.Owner)
		}
	}
	for _, fine := range [][]ports.Record{faces("x", "blacklist", "a", "a"), faces("x", "users", "", "a")} {
		before := append([]ports.Record(nil), fine...)
		require.Empty(t, given(fine))
		require.Equal(t, before, fine, "whoever has an owner keeps it")
	}
}
