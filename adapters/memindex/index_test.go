package memindex

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/ports"
	"imago/test/fixture"
	"imago/test/records"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everybody is a query that finds all users of the collection of the tests.
var everybody = ports.Query{Collection: records.Users, Vector: []float32{1, 0}, K: 1000, MinScore: -1}

// What was changed is found from Publish on, in a new collection, too.
func TestUnpublishedChangesAreNotFound(t *testing.T) {
	x := New(2, 0)
	found := func() (users []string) {
		matches, err := x.Search(t.Context(), everybody)
		require.NoError(t, err)
		for _, m := range matches {
			users = append(users, m.UserID)
		}
		return users
	}
	steps := []struct {
		change func()
		want   []string
	}{
		{func() { x.Add(records.New("ada", []float32{1, 0})); x.Add(records.New("bob", []float32{1, 0})) }, []string{"ada", "bob"}},
		{func() { x.RemoveUser(records.Key("ada")); x.RemoveUser(records.Key("eve")) }, []string{"bob"}},
		{func() {
			further := records.New("bob", []float32{0, 1})
			further.FaceID = "further"
			x.Add(further)
			x.RemoveFace(further.User(), records.New("bob", nil).FaceID)
			x.RemoveFace(further.User(), "none")
		}, []string{"bob"}},
		{func() { x.RemoveFace(records.Key("bob"), "further") }, nil},
		{x.Clear, nil},
		{func() { x.Add(records.New("cyd", []float32{1, 0})); x.RemoveUser(records.Key("cyd")) }, nil},
	}
	var before []string
	for i, step := range steps {
		step.change()
		require.Equal(t, before, found(), "step %d, not published", i)
		x.Publish()
		require.Equal(t, step.want, found(), "step %d", i)
		before = step.want
	}
	require.Empty(t, x.collections, "an empty collection stays")
}

// However users are removed and added again in one step, whoever reads meanwhile finds all
// of them, and all of one step. Owners tell which step a face is of.
func TestReadersSeeWholeSteps(t *testing.T) {
	const users, steps, readers = 3, 2000, 3
	for name, forget := range map[string]func(*Index, ports.UserKey){
		"users removed": (*Index).RemoveUser,
		"all cleared":   func(x *Index, _ ports.UserKey) { x.Clear() },
	} {
		t.Run(name, func(t *testing.T) {
			x := New(2, 1)
			write := func(step int) {
				for i := range users {
					if step > 0 && (i == 0 || name == "users removed") {
						forget(x, records.Key(strconv.Itoa(i)))
					}
					r := records.New(strconv.Itoa(i), []float32{1, 0})
					r.Owner = strconv.Itoa(step)
					x.Add(r)
				}
				x.Publish()
			}
			write(0)
			done := make(chan struct{})
			errs := fixture.Together(1+readers, func(reader int) error {
				if reader == 0 {
					defer close(done)
					for step := range steps {
						write(1 + step)
					}
					return nil
				}
				for {
					select {
					case <-done:
						return nil
					default:
					}
					matches, err := x.Search(t.Context(), everybody)
					if err != nil || len(matches) != users || matches[0].Owner != matches[users-1].Owner {
						return fmt.Errorf("a search found %v: %w", matches, err)
					}
					page, _ := x.page(ports.Everything(records.Users, ""), cursor{}, users)
					if len(page) != users || page[0].Owner != page[users-1].Owner {
						return fmt.Errorf("a scan yielded %v", page)
					}
					if faces := x.Get(records.Key("1")); len(faces) != 1 || x.Count(records.Users) != users {
						return fmt.Errorf("a user has the faces %v", faces)
					}
				}
			})
			for _, err := range errs {
				require.NoError(t, err)
			}
		})
	}
}

// Bytes is what the index needs, whether users have one face or many, and nothing once
// everything is gone.
func TestBytes(t *testing.T) {
	const faces, dimension = 40 * 1024, 128
	for _, each := range []int{1, 8} {
		crowd := records.Crowd(faces, dimension)
		for i := range crowd {
			crowd[i].UserID, crowd[i].FaceID = fmt.Sprintf("user-%06d", i/each), strconv.Itoa(i%each)
		}
		before := inUse()
		x := New(dimension, 1)
		l := NewLoader(x)
		for _, r := range crowd {
			l.Add(r)
		}
		l.Close()
		x.Publish()
		// Memory is taken ahead for up to a quarter more rows.
		require.InEpsilon(t, inUse()-before, x.Bytes(), 0.25)
		require.Equal(t, faces, x.Len())
		require.Equal(t, faces/each, x.Count(records.Users))

		rows := x.collections[records.Users].vectors.Bytes()
		x.RemoveUser(crowd[0].User())
		x.Publish()
		require.Equal(t, faces-each, x.Len())
		x.Add(crowd[0])
		x.Publish()
		require.Equal(t, faces-each+1, x.Len())
		for i := 0; i < faces; i += each {
			x.RemoveUser(crowd[i].User())
		}
		require.Zero(t, x.Len())
		require.Zero(t, x.collections[records.Users].bytes.Load())
		require.LessOrEqual(t, rows, x.Bytes(), "searches may still read the rows")
		x.Publish()
		require.Zero(t, x.Bytes())
		runtime.KeepAlive(crowd)
	}
}

// inUse is how many bytes are in use.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A page ends at a number of records, also in the middle of a user, and the
// next begins behind it even if the last face has gone meanwhile.
func TestPages(t *testing.T) {
	x := New(2, 0)
	for _, key := range []string{"aa", "ab", "ac", "ba", "ca", "cb"} {
		r := records.New(key[:1], []float32{1, 0})
		r.FaceID = key[1:]
		x.Add(r)
		x.Publish()
	}
	keys := func(page []ports.Record) (keys []string) {
		for _, r := range page {
			keys = append(keys, r.UserID+r.FaceID)
		}
		return keys
	}
	page, at := x.page(ports.Everything(records.Users, ""), cursor{}, 2)
	require.Equal(t, []string{"aa", "ab"}, keys(page))
	page, at = x.page(ports.Everything(records.Users, ""), at, 3)
	require.Equal(t, []string{"ac", "ba", "ca"}, keys(page))
	x.RemoveUser(records.Key("c"))
	again := records.New("c", []float32{1, 0})
	again.FaceID = "c"
	x.Add(again)
	x.Publish()
	page, at = x.page(ports.Everything(records.Users, ""), at, 3)
	require.Equal(t, []string{"cc"}, keys(page))
	page, _ = x.page(ports.Everything(records.Users, ""), at, 3)
	require.Empty(t, page)
}

// What the store keeps of an ID is a copy, not a piece of the caller's string.
func TestStringsAreCopied(t *testing.T) {
	x := New(2, 0)
	request := []byte("user-ID in a long request")
	r := records.New(string(request)[:7], []float32{1, 0})
	x.Add(r)
	u, _ := x.collections[records.Users].users.Get("user-ID")
	require.NotSame(t, unsafeData(r.UserID), unsafeData(u.id))
}

func unsafeData(s string) *byte { return unsafe.StringData(s) }
