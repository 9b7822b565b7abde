package memstore

import (
	"context"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// A search of many rows looks at its context in between.
func TestSearchGivenUp(t *testing.T) {
	s := started(t, "", testSpace(16))
	enrol(t, s, crowd(5*lookEvery, 16))
	q := ports.Query{Collection: users, Vector: unitVector(seeded(7), 16), K: 10, MinScore: -1}
	ctx := &countdown{t.Context(), 4}
	found, err := s.Search(ctx, q)
	require.ErrorIs(t, err, ctx.Err())
	require.Empty(t, found)
	ctx = &countdown{t.Context(), 8}
	_, err = s.Search(ctx, q)
	require.NoError(t, err)
	require.Zero(t, ctx.looks, "the context was not looked at once a chunk")
}

// A scan ends with its context, also in the middle of a page.
func TestScanGivenUp(t *testing.T) {
	s := started(t, "", testSpace(16))
	enrol(t, s, crowd(20, 16))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range s.Scan(ctx, ports.Everything(users, "")) {
		if last = err; err == nil {
			n++
		}
		if n == 5 {
			cancel()
		}
	}
	require.Equal(t, 5, n)
	require.ErrorIs(t, last, context.Canceled)
}

// A page ends at a number of records, also in the middle of a user, and the
// next begins behind it even if the last face has gone meanwhile.
func TestPages(t *testing.T) {
	x := newIndex(2, 0)
	for _, key := range []string{"aa", "ab", "ac", "ba", "ca", "cb"} {
		r := record(key[:1], []float32{1, 0})
		r.FaceID = key[1:]
		x.add(r)
		x.publish()
	}
	keys := func(records []ports.Record) (keys []string) {
		for _, r := range records {
			keys = append(keys, r.UserID+r.FaceID)
		}
		return keys
	}
	page, at := x.page(ports.Everything(users, ""), cursor{}, 2)
	require.Equal(t, []string{"aa", "ab"}, keys(page))
	page, at = x.page(ports.Everything(users, ""), at, 3)
	require.Equal(t, []string{"ac", "ba", "ca"}, keys(page))
	x.remove(users, "c")
	again := record("c", []float32{1, 0})
	again.FaceID = "c"
	x.add(again)
	x.publish()
	page, at = x.page(ports.Everything(users, ""), at, 3)
	require.Equal(t, []string{"cc"}, keys(page))
	page, _ = x.page(ports.Everything(users, ""), at, 3)
	require.Empty(t, page)
}

// What the store keeps of an ID is a copy, not a piece of the caller's string.
func TestStringsAreCopied(t *testing.T) {
	x := newIndex(2, 0)
	request := []byte("user-ID in a long request")
	r := record(string(request)[:7], []float32{1, 0})
	x.add(r)
	u, _ := x.collections[users].users.Get("user-ID")
	require.NotSame(t, unsafeData(r.UserID), unsafeData(u.id))
}

func unsafeData(s string) *byte { return unsafe.StringData(s) }
