package milvusstore

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRowRoundTrip(t *testing.T) {
	r := record(`a "b" \ %_`, "é 😀", []float32{0.6, 0.8})
	r.Chip = []byte{0, 0xff}
	face := faceRow(r, 7, true)
	require.Equal(t, r, face.record())
	require.True(t, wellFormed(face.id))
	require.False(t, face.isClaim())
	require.NotEqual(t, face.id, faceRow(r, 7, true).id, "IDs must never come back")

	r.EnrolledAt = time.Date(1969, 7, 20, 20, 17, 40, 1999, time.FixedZone("", 3600))
	require.Equal(t, time.Date(1969, 7, 20, 19, 17, 40, 1000, time.UTC), faceRow(r, 1, true).record().EnrolledAt)
}

func TestClaimID(t *testing.T) {
	k := key{users, "ada"}
	claim := row{id: claimID(k)}
	require.True(t, wellFormed(claim.id))
	require.True(t, claim.isClaim())
	require.Equal(t, k, claim.key())
	require.NotEqual(t, claim.id, claimID(k))
}

func TestLongestID(t *testing.T) {
	r := record(strings.Repeat("u", 256), strings.Repeat("f", 256), east)
	r.Collection = strings.Repeat("c", 64)
	require.LessOrEqual(t, len(faceRow(r, 1, true).id), idBytes)
	require.LessOrEqual(t, len(claimID(key{r.Collection, r.UserID})), idBytes)
}

// TestSpans checks that a user's rows, and nobody else's, lie in the user's idRange,
// and that rows in the order of their IDs are in that of users and faces.
func TestSpans(t *testing.T) {
	ids := []string{" ", "!", "a", "a ", "a!", "aa", "b", "~", "\u00a0", "ä", "😀", "\U0010ffff"}
	last := ""
	for _, user := range ids {
		k := key{users, user}
		for _, face := range ids {
			id := faceRow(record(user, face, east), 1, true).id
			require.Less(t, last, id)
			last = id
			for _, other := range ids {
				s := key{users, other}.idRange()
				require.Equal(t, other == user, s.from <= id && id < s.to, "%q in the span of %q", id, other)
			}
			s := collectionRange(users)
			require.True(t, s.from <= id && id < s.to)
		}
		s := k.idRange()
		claim := claimID(k)
		require.True(t, s.from <= claim && claim < s.to)
	}
	for _, other := range []string{"user", "users2", "users-", "users_", "use"} {
		s := collectionRange(other)
		require.False(t, s.from <= last && last < s.to, other)
	}
}

func TestCurrent(t *testing.T) {
	bob := faceRow(record("bob", "f", east), 1, true)
	rows := []row{made("a", 2), made("b", 1), made("c", 2), bob}
	require.Equal(t, []row{made("a", 2), made("c", 2), bob}, current(rows))
	require.Empty(t, current(nil))
}

func TestNotEveryIDIsWellFormed(t *testing.T) {
	for _, id := range []string{"", "a", "a\tb\tc", "a\tb\tc\td\te"} {
		require.False(t, wellFormed(id), "%q", id)
	}
}
