package transfer_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/core/vectorstore"
	"imago/ports"
)

// withChips is a store whose faces have chips, which are the word chip and the user ID, but
// for some.
type withChips struct {
	ports.VectorStore
	without map[string]bool // of user ID + "/" + face ID
}

func (s withChips) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		for r, err := range s.VectorStore.Scan(ctx, selection) {
			if selection.WithChips && !s.without[r.UserID+"/"+r.FaceID] {
				r.Chip = []byte("chip" + r.UserID)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// mirror converts a face by reversing its vector; calls counts.
func mirror(calls *atomic.Int64) func(context.Context, ports.Record) (ports.Record, string, error) {
	return func(_ context.Context, r ports.Record) (ports.Record, string, error) {
		if string(r.Chip) != "chip"+r.UserID {
			return r, "no chip", nil
		}
		calls.Add(1)
		r.Vector, r.Chip = slices.Clone(r.Vector), nil
		slices.Reverse(r.Vector)
		return r, "", nil
	}
}

// converting returns quick Options that mirror, and what they note.
func converting() (o transfer.Options, calls *atomic.Int64, left *[]transfer.Conflict) {
	o, calls, left = quick, new(atomic.Int64), new([]transfer.Conflict)
	o.Convert = mirror(calls)
	o.LeftOut = func(c transfer.Conflict) error {
		*left = append(*left, c)
		return nil
	}
	return o, calls, left
}

// mirrored returns records as mirror makes them.
func mirrored(records []ports.Record) []ports.Record {
	records = slices.Clone(records)
	for i := range records {
		records[i].Vector = slices.Clone(records[i].Vector)
		slices.Reverse(records[i].Vector)
	}
	return records
}

func TestCopyConverts(t *testing.T) {
	store, to := filled(t, 100), open(t)
	before := all(t, store)
	o, calls, left := converting()
	for round := range 2 {
		report, err := transfer.Copy(t.Context(), withChips{VectorStore: store}, to, collections, o)
		require.NoError(t, err)
		require.Zero(t, report.Conflicts())
		for _, outcome := range report {
			require.Equal(t, outcome.Faces, []int{outcome.Added, outcome.Same}[round])
		}
		require.Equal(t, mirrored(before), all(t, to))
		require.EqualValues(t, len(before), calls.Load(), "nothing is converted twice")
	}
	require.Empty(t, *left)
	require.Equal(t, before, all(t, store))

	compared := 0
	o.Compared = func(source, target []ports.Record) {
		compared += len(source)
		for i := range source {
			require.Equal(t, source[i].FaceID, target[i].FaceID)
			require.Equal(t, mirrored(source[i : i+1])[0].Vector, target[i].Vector)
		}
	}
	sums, err := transfer.Verify(t.Context(), withChips{VectorStore: store}, to, collections, o)
	require.NoError(t, err)
	require.Len(t, sums, 3)
	require.Equal(t, len(before), compared)
	same, err := transfer.Verify(t.Context(), withChips{VectorStore: to}, store, collections, o)
	require.NoError(t, err)
	require.Equal(t, sums, same, "the sums are not of the vectors")
	_, err = transfer.Verify(t.Context(), store, to, collections, quick)
	require.ErrorContains(t, err, "faces differ")
}

func TestFacesWithoutChipAreLeftOut(t *testing.T) {
	store, to := filled(t, 60), open(t)
	without := map[string]bool{}
	var missing []ports.Record
	want := slices.DeleteFunc(all(t, store), func(r ports.Record) bool {
		// All faces of two users, and the first of others.
		if r.UserID != "user-0020" && r.UserID != "日本" && (r.FaceID != "f0" || r.UserID > "user-0040") {
			return false
		}
		missing = append(missing, r)
		without[r.UserID+"/"+r.FaceID] = true
		return true
	})
	users := map[ports.UserKey]bool{}
	for _, r := range missing {
		users[r.User()] = true
	}
	for _, r := range want {
		delete(users, r.User())
	}
	from := withChips{store, without}
	o, _, left := converting()
	for range 2 {
		*left = nil
		report, err := transfer.Copy(t.Context(), from, to, collections, o)
		require.NoError(t, err)
		require.Equal(t, mirrored(want), all(t, to))
		leftOut, usersLeftOut := 0, 0
		for _, outcome := range report {
			require.Equal(t, outcome.Faces, outcome.Added+outcome.Same+outcome.LeftOut)
			leftOut, usersLeftOut = leftOut+outcome.LeftOut, usersLeftOut+outcome.UsersLeftOut
		}
		require.Equal(t, len(missing), leftOut)
		require.Equal(t, len(users), usersLeftOut)
		require.Len(t, *left, len(missing))
		for _, r := range missing {
			require.Contains(t, *left, transfer.Conflict{Collection: r.Collection, UserID: r.UserID, FaceID: r.FaceID, Reason: "no chip"})
		}
		sums, err := transfer.Verify(t.Context(), from, to, collections, o)
		require.NoError(t, err)
		require.Equal(t, len(want), sums[0].Faces+sums[1].Faces+sums[2].Faces)
	}

	// The chips are there after all.
	_, err := transfer.Verify(t.Context(), withChips{VectorStore: store}, to, collections, o)
	require.ErrorContains(t, err, "faces are missing in the target: run it again")
	_, err = transfer.Copy(t.Context(), withChips{VectorStore: store}, to, collections, o)
	require.NoError(t, err)
	require.Equal(t, mirrored(all(t, store)), all(t, to))
}

// The converted copy is cut off again and again, in the middle of users, and ends complete.
func TestConversionGoesOnAfterCancellation(t *testing.T) {
	store, to := filled(t, 100), open(t)
	total := len(all(t, store))
	o, calls, _ := converting()
	o.Workers = 4
	runs := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		var writes atomic.Int64
		_, err := transfer.Copy(ctx, withChips{VectorStore: store}, hooked{to, func(ctx context.Context, r ports.Record, mode ports.Mode) error {
			if writes.Add(1) >= 20 {
				cancel()
			}
			return to.Add(ctx, r, mode)
		}}, collections, o)
		cancel()
		if runs++; err == nil {
			break
		}
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Greater(t, runs, total/25)
	require.Equal(t, mirrored(all(t, store)), all(t, to))
	require.LessOrEqual(t, calls.Load(), int64(total+runs*3*o.Workers), "only what was in progress is converted again")
	_, err := transfer.Verify(t.Context(), withChips{VectorStore: store}, to, collections, o)
	require.NoError(t, err)
}

func TestConversionLivesThroughOutages(t *testing.T) {
	store, to := filled(t, 100), open(t)
	o, calls, _ := converting()
	o.Retry.MaxTotal = time.Millisecond
	report, err := transfer.Copy(t.Context(), withChips{VectorStore: &flaky{VectorStore: store, every: 101}}, &flaky{VectorStore: to, every: 3}, collections, o)
	require.NoError(t, err)
	require.Zero(t, report.Conflicts())
	require.Equal(t, mirrored(all(t, store)), all(t, to))
	require.EqualValues(t, len(all(t, store)), calls.Load())
}

func TestConversionEndsWithItsErrors(t *testing.T) {
	store, to := filled(t, 50), open(t)
	broken := errors.New("broken")
	o, _, _ := converting()
	o.Convert = func(context.Context, ports.Record) (ports.Record, string, error) { return ports.Record{}, "", broken }
	_, err := transfer.Copy(t.Context(), store, to, collections, o)
	require.ErrorIs(t, err, broken)
	_, err = transfer.Verify(t.Context(), store, to, collections, o)
	require.ErrorIs(t, err, broken)
	require.Empty(t, all(t, to))

	o, _, _ = converting()
	o.LeftOut = func(transfer.Conflict) error { return broken }
	_, err = transfer.Copy(t.Context(), store, to, collections, o)
	require.ErrorIs(t, err, broken)
	require.Empty(t, all(t, to))
}

// What the target has of somebody else is in conflict, whatever the vectors are.
func TestConversionNeverOverwrites(t *testing.T) {
	store, to := filled(t, 30), open(t)
	other := all(t, store)[0]
	other.Owner += "x"
	add(t, to, other)
	o, _, _ := converting()
	report, err := transfer.Copy(t.Context(), withChips{VectorStore: store}, to, collections, o)
	require.NoError(t, err)
	require.Positive(t, report.Conflicts())
	require.Contains(t, report[0].Examples[0].Reason, "another owner")
	require.Contains(t, all(t, to), other)
	_, err = transfer.Verify(t.Context(), withChips{VectorStore: store}, to, collections, o)
	require.ErrorContains(t, err, "faces differ")
}

// A user whose last enrolment cannot be converted may have expired without it.
func TestConversionLeavesOutWhoExpiresByIt(t *testing.T) {
	store, to := filled(t, 1), open(t)
	require.NoError(t, store.Remove(t.Context(), ports.WholeUser(all(t, store)[0].User()), ports.Everybody()))
	now := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	one := all(t, filled(t, 1))[0]
	for i, age := range []time.Duration{48 * time.Hour, 36 * time.Hour, time.Hour} {
		r := one
		r.Collection, r.UserID, r.FaceID, r.EnrolledAt = "users", "ada", []string{"a", "b", "c"}[i], now.Add(-age)
		mode := ports.FurtherFace(ports.Everybody())
		if i == 0 {
			mode = ports.NewUser()
		}
		require.NoError(t, store.Add(t.Context(), r, mode))
	}
	retention := vectorstore.Retention{After: map[string]time.Duration{"users": 24 * time.Hour}, Now: func() time.Time { return now }}
	to.Retain(retention)
	o, _, left := converting()
	o.Expired = retention.Expired
	from := withChips{store, map[string]bool{"ada/c": true}}
	report, err := transfer.Copy(t.Context(), from, to, []string{"users"}, o)
	require.NoError(t, err)
	require.Len(t, *left, 1)
	require.Equal(t, 2, report[0].Expired)
	require.Zero(t, report[0].Added)
	_, err = transfer.Verify(t.Context(), from, to, []string{"users"}, o)
	require.NoError(t, err)
}
