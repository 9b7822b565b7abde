package milvusstore

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		``:                   `""`,
		`a`:                  `"a"`,
		`"`:                  `"\""`,
		`\`:                  `"\\"`,
		`\"`:                 `"\\\""`,
		`'`:                  `"'"`,
		"a\tb\nc\rd":         `"a\tb\nc\rd"`,
		`" or id != "`:       `"\" or id != \""`,
		`%_`:                 `"%_"`,
		"ä😀\u2028":           "\"ä😀\u2028\"",
		`\u0041 \x41 \n \t`:  `"\\u0041 \\x41 \\n \\t"`,
		`"] or id not in ["`: `"\"] or id not in [\""`,
	} {
		require.Equal(t, want, quote(text))
	}
}

// FuzzQuote checks that a literal means the text, by the rules of Go's literals,
// which Milvus applies to its own.
func FuzzQuote(f *testing.F) {
	for _, text := range []string{`"`, `\`, "\n", "\t", `\"`, "😀", "\u2028"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ToValidUTF8(text, "") != text {
			return
		}
		meant, err := strconv.Unquote(quote(text))
		require.NoError(t, err)
		require.Equal(t, text, meant)
	})
}

func TestExpressions(t *testing.T) {
	require.Equal(t, `"a\tb\t" <= id < "a\tb\n"`, key{"a", "b"}.idRange().expression())
	require.Equal(t, `id >= ""`, idRange{}.expression())
	require.Equal(t, `("a\tb\t" <= id < "a\tb\n") or (("a\tc\t" <= id < "a\tc\n") or ("a\td\t" <= id < "a\td\n"))`,
		ofAny([]key{{"a", "b"}, {"a", "c"}, {"a", "d"}}))
	require.Equal(t, `collection == "people"`, inCollection("people"))
	require.Equal(t, `id in ["a","\""]`, anyOf([]string{"a", `"`}))
}

// TestQuotedIDs enrols users with random awkward IDs, all of which differ in little
// from others, and has the server tell them apart.
func TestQuotedIDs(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	rng := seeded(4)
	ids := map[string]bool{}
	for len(ids) < 120 {
		ids[awkward(rng)] = true
	}
	var records []ports.Record
	for id := range ids {
		records = append(records, record(id, id, east))
	}
	enrol(t, s, records)
	var seen []string
	for r, err := range s.Scan(t.Context(), ports.Everything(users, "")) {
		require.NoError(t, err)
		seen = append(seen, r.UserID)
	}
	require.IsIncreasing(t, seen)
	require.Len(t, seen, len(ids))
	for _, r := range records[:40] {
		got, err := s.Get(t.Context(), userKey(r.UserID))
		require.NoError(t, err, "%q", r.UserID)
		require.Equal(t, []ports.Record{r}, got)
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey(r.UserID)), ports.Everybody()), "%q", r.UserID)
	}
	n, err := s.Count(t.Context(), users)
	require.NoError(t, err)
	require.Equal(t, len(ids)-40, n, "a removal went too far")
}

// awkward returns a short ID made up of what has a meaning in expressions.
func awkward(rng *rand.Rand) string {
	pieces := []string{`"`, `\`, `'`, `%`, `_`, `n`, `t`, ` `, `]`, ` or `, `id`, `==`, `ä`, `😀`, "\u2028", `u0041`, `x41`, `{`, `/*`}
	id := ""
	for range 1 + rng.IntN(4) {
		id += pieces[rng.IntN(len(pieces))]
	}
	if strings.ContainsFunc(id, unicode.IsControl) {
		panic("not an ID")
	}
	return id
}

// TestInjection searches a server for a collection whose name would reach into
// others if it were pasted into the expression; the names of ports cannot, so this
// asks the table.
func TestInjection(t *testing.T) {
	t.Parallel()
	s := fresh(t, 2)
	enrol(t, s, []ports.Record{record("ada", "f", east)})
	for _, name := range []string{`x" or collection == "users`, `users" or "" == "`, `\`, `"`} {
		rows, err := s.driver.table.nearest(t.Context(), name, east, 10)
		require.NoError(t, err)
		require.Empty(t, rows)
		n, err := s.driver.table.countUsers(t.Context(), name)
		require.NoError(t, err)
		require.Zero(t, n)
	}
}

func TestExpiredExpression(t *testing.T) {
	at := time.UnixMicro(1700000000000000)
	ids := idRange{from: "a", to: "b", expired: ports.Cutoff{At: at}, expiries: true}
	require.Equal(t, `("a" <= id < "b") and ((expires_at > 0 and expires_at <= 1700000000000000))`, ids.expression())
	ids.expired.EnrolledAt = at.Add(-time.Second)
	require.Equal(t, `("a" <= id < "b") and (enrolled_at <= 1699999999000000 or (expires_at > 0 and expires_at <= 1700000000000000))`, ids.expression())
	ids.expiries = false
	require.Equal(t, `("a" <= id < "b") and (enrolled_at <= 1699999999000000)`, ids.expression())
}
