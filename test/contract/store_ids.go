package contract

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// awkwardIDs are all valid and all different, and a store that pastes them into
// a query, compares them by a collation, trims or normalises them shows it.
func awkwardIDs() []string {
	ids := []string{
		`'`, `''`, `"`, `\`, `\\`, `\'`, `%`, `_`, `a%`, `a_`, `%%`, `?`, `$1`, `:id`, `@`, `#`, `/`, `..`, `.`, `*`, `-`, `--`,
		`'; drop table faces;--`, `" or 1==1 or "`, `" || user_id != "`, `') OR ('1'='1`, `{"$ne": null}`, `null`, `NULL`, `nil`,
		`0`, `00`, `1e3`, `true`, `a`, `A`, `a `, ` a`, `a  b`, `a b`, ` `, `  `, `à`, "a\u0300", `Å`, "\u212b", "A\u030a", `ß`, `ss`,
		`ﬁ`, `fi`, `İ`, `ı`, `i`, `שלום`, "\u202eabc", "a\u200db", "a\u200b", "\ufeffa", `👩‍👩‍👧`, `😀`, "\U0010ffff", `日本語`, `ｱ`, `ア`,
		"\u00a0", "\u2028", strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("ä", 128), strings.Repeat("😀", 64),
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func awkwardUserIDs(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	ids := awkwardIDs()
	for _, id := range ids {
		enrol(t, s, id, east)
	}
	require.Equal(t, len(ids), count(t, s, people))
	require.Equal(t, ids, usersOf(search(t, s, east, 1000, -1)))
	for i, id := range ids {
		require.ErrorIs(t, s.Add(t.Context(), face(id, "g", east), ports.NewUser()), ports.ErrExists, "%q", id)
		got, err := s.Get(t.Context(), person(id))
		require.NoError(t, err, "%q", id)
		require.Equal(t, []ports.Record{face(id, "f", east)}, got)
		require.Len(t, scanAll(t, s, people, id), len(ids)-i, "%q", id)
	}
	for i, id := range ids {
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(person(id)), ports.Everybody()), "%q", id)
		require.Equal(t, ids[i+1:], usersOf(search(t, s, east, 1000, -1)), "%q", id)
	}
}

func awkwardFaceIDs(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	ids := awkwardIDs()
	for i, id := range ids {
		mode := ports.FurtherFace(ports.Everybody())
		if i == 0 {
			mode = ports.NewUser()
		}
		require.NoError(t, s.Add(t.Context(), face("ada", id, east), mode), "%q", id)
		require.ErrorIs(t, s.Add(t.Context(), face("ada", id, west), ports.FurtherFace(ports.Everybody())), ports.ErrExists, "%q", id)
	}
	got, err := s.Get(t.Context(), person("ada"))
	require.NoError(t, err)
	require.Len(t, got, len(ids))
	for i, id := range ids {
		require.Equal(t, face("ada", id, east), got[i])
	}
}

func awkwardOwners(t *testing.T, h StoreHarness) {
	s := openPlane(t, h)
	for _, owner := range []string{`it's`, `"quoted"`, `back\slash`, `ünïcode 😀`, ` blank `, `'; drop table faces;--`} {
		r := face(owner, "f", north)
		r.Owner = owner
		require.NoError(t, s.Add(t.Context(), r, ports.NewUser()), "%q", owner)
		got, err := s.Get(t.Context(), person(owner))
		require.NoError(t, err)
		require.Equal(t, []ports.Record{r}, got)
	}
	for _, m := range search(t, s, north, 1000, -1) {
		require.Equal(t, m.UserID, m.Owner)
	}
}
