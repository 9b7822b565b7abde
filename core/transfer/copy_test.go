package transfer_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/ports"
)

func TestCopyBringsEverything(t *testing.T) {
	from, to := filled(t, 300), open(t)
	report, err := transfer.Copy(t.Context(), from, to, collections, quick)
	require.NoError(t, err)
	require.Equal(t, all(t, from), all(t, to))
	require.Len(t, report, 3)
	for i, o := range report {
		sum, err := transfer.Checksum(t.Context(), from, collections[i])
		require.NoError(t, err)
		require.Equal(t, collections[i], o.Collection)
		require.Equal(t, 300, o.Users)
		require.Equal(t, sum.Faces, o.Faces)
		require.Equal(t, sum.Faces, o.Added)
		require.Zero(t, o.Same+o.Extra+o.Conflicts)
	}
	sums, err := transfer.Verify(t.Context(), from, to, collections, quick)
	require.NoError(t, err)
	require.Len(t, sums, 3)
	require.Equal(t, 300, sums[0].Users)
}

func TestCopyAgainAddsNothing(t *testing.T) {
	from, to := filled(t, 50), open(t)
	for round := range 3 {
		report, err := transfer.Copy(t.Context(), from, to, collections, quick)
		require.NoError(t, err)
		for _, o := range report {
			require.Equal(t, o.Faces, []int{o.Added, o.Same, o.Same}[round])
		}
	}
	require.Equal(t, all(t, from), all(t, to))
}

func TestCopyOfOneCollectionLeavesTheOthers(t *testing.T) {
	from, to := filled(t, 20), open(t)
	_, err := transfer.Copy(t.Context(), from, to, []string{"blacklist"}, quick)
	require.NoError(t, err)
	for _, r := range all(t, to) {
		require.Equal(t, "blacklist", r.Collection)
	}
	require.Len(t, all(t, to), len(slices.DeleteFunc(all(t, from), func(r ports.Record) bool { return r.Collection != "blacklist" })))
}

// The face of a user's last enrolment is added first, as a new user, and the others behind
// it, whatever runs beside it.
func TestCopyKeepsTheOrderOfAUsersFaces(t *testing.T) {
	from, to := filled(t, 100), open(t)
	var mu sync.Mutex
	order := map[[2]string][]time.Time{}
	_, err := transfer.Copy(t.Context(), from, hooked{to, func(ctx context.Context, r ports.Record, mode ports.Mode) error {
		mu.Lock()
		key := [2]string{r.Collection, r.UserID}
		first := len(order[key]) == 0
		order[key] = append(order[key], r.EnrolledAt)
		mu.Unlock()
		if first != (mode.Kind() == ports.KindNewUser) {
			return errors.New("wrong mode")
		}
		return to.Add(ctx, r, mode)
	}}, collections, quick)
	require.NoError(t, err)
	require.Len(t, order, 300)
	for _, faces := range order {
		require.True(t, slices.IsSortedFunc(faces, func(a, b time.Time) int { return b.Compare(a) }), faces)
	}
}

// The copy is cut off in the middle of users, again and again, and each run goes
// on where the one before stopped.
func TestCopyGoesOnAfterCancellation(t *testing.T) {
	from, to := filled(t, 200), open(t)
	total := len(all(t, from))
	added, runs := 0, 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int64
		report, err := transfer.Copy(ctx, from, hooked{to, func(ctx context.Context, r ports.Record, mode ports.Mode) error {
			if calls.Add(1) >= 150 { // whoever it is, so that none slips through meanwhile
				cancel()
			}
			return to.Add(ctx, r, mode)
		}}, collections, quick)
		cancel()
		runs++
		for _, o := range report {
			added += o.Added
		}
		if err == nil {
			break
		}
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, all(t, from), all(t, to))
	require.Greater(t, runs, total/150)
	// A write that was cut off may have taken effect without being counted.
	require.LessOrEqual(t, added, total)
	_, err := transfer.Verify(t.Context(), from, to, collections, quick)
	require.NoError(t, err)
}

func TestCopyLivesThroughOutages(t *testing.T) {
	for _, every := range []int64{3, 5, 50} {
		from, to := filled(t, 150), open(t)
		o := quick
		o.Retry.MaxTotal = time.Millisecond
		report, err := transfer.Copy(t.Context(),
			&flaky{VectorStore: from, every: 101}, &flaky{VectorStore: to, every: every}, collections, o)
		require.NoError(t, err, every)
		require.Equal(t, all(t, from), all(t, to), every)
		require.Zero(t, report.Conflicts())
		for _, outcome := range report {
			require.Equal(t, outcome.Faces, outcome.Added)
		}
	}
}

func TestCopyGivesUpOnATargetThatStaysAway(t *testing.T) {
	from, to := filled(t, 50), open(t)
	var calls atomic.Int64
	_, err := transfer.Copy(t.Context(), from, hooked{to, func(context.Context, ports.Record, ports.Mode) error {
		calls.Add(1)
		return ports.ErrUnavailable
	}}, collections, quick)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.LessOrEqual(t, calls.Load(), int64(2*transfer.DefaultWorkers*21), "a worker may be handed one more")
	require.Empty(t, all(t, to))
}

func TestCopyStopsAtAnyOtherError(t *testing.T) {
	from, to := filled(t, 500), open(t)
	broken := errors.New("broken")
	var calls atomic.Int64
	_, err := transfer.Copy(t.Context(), from, hooked{to, func(context.Context, ports.Record, ports.Mode) error {
		calls.Add(1)
		return broken
	}}, collections, quick)
	require.ErrorIs(t, err, broken)
	require.Less(t, calls.Load(), int64(500))

	_, err = transfer.Copy(t.Context(), from, hooked{to, func(context.Context, ports.Record, ports.Mode) error {
		return ports.ErrNotFound
	}}, collections, quick)
	require.ErrorIs(t, err, ports.ErrNotFound)
	require.ErrorContains(t, err, "run it again")
}

// What the target has under a name of the source is never touched, and nothing
// is added to a user who may be somebody else.
func TestCopyNeverOverwrites(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	a, b, c := face(random, "users", "u", "a"), face(random, "users", "u", "b"), face(random, "users", "u", "c")
	change := func(r ports.Record, f func(*ports.Record)) ports.Record {
		r.Vector = slices.Clone(r.Vector)
		f(&r)
		return r
	}
	for name, test := range map[string]struct {
		source, target  []ports.Record
		conflicts, same int
		reason          string
	}{
		"another vector": {[]ports.Record{a}, []ports.Record{change(a, func(r *ports.Record) {
			r.Vector[0] = math.Nextafter32(r.Vector[0], 2)
		})}, 1, 0, "another vector"},
		"another owner": {[]ports.Record{a}, []ports.Record{change(a, func(r *ports.Record) { r.Owner = "x" })}, 1, 0, "another owner"},
		"another time": {[]ports.Record{a}, []ports.Record{change(a, func(r *ports.Record) {
			r.EnrolledAt = r.EnrolledAt.Add(time.Microsecond)
		})}, 1, 0, "another time"},
		"other faces":              {[]ports.Record{a}, []ports.Record{b}, 1, 0, "other faces"},
		"a face of each side":      {[]ports.Record{a, b}, []ports.Record{b, c}, 1, 1, "other faces"},
		"one differs, one missing": {[]ports.Record{a, b}, []ports.Record{change(b, func(r *ports.Record) { r.Owner = "x" })}, 2, 0, "another owner"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := open(t), open(t)
			add(t, from, test.source...)
			add(t, to, test.target...)
			report, err := transfer.Copy(t.Context(), from, to, []string{"users"}, quick)
			require.NoError(t, err)
			require.Equal(t, test.target, all(t, to))
			require.Equal(t, test.conflicts, report.Conflicts())
			require.Equal(t, test.same, report[0].Same)
			require.Zero(t, report[0].Added)
			require.Len(t, report[0].Examples, test.conflicts)
			require.Equal(t, "u", report[0].Examples[0].UserID)
			require.Contains(t, report[0].Examples[0].Reason, test.reason)
			_, err = transfer.Verify(t.Context(), from, to, []string{"users"}, quick)
			require.Error(t, err)
		})
	}
}

// What only the target has stays, and does not keep others from being copied.
func TestCopyLeavesWhatOnlyTheTargetHas(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	from, to := open(t), open(t)
	a, b := face(random, "users", "u", "a"), face(random, "users", "u", "b")
	v, w := face(random, "users", "v", "a"), face(random, "users", "w", "a")
	add(t, from, a, v)
	add(t, to, a, b, w)
	report, err := transfer.Copy(t.Context(), from, to, []string{"users"}, quick)
	require.NoError(t, err)
	require.Equal(t, []ports.Record{a, b, v, w}, all(t, to))
	require.Equal(t, 2, report[0].Extra)
	require.Equal(t, 1, report[0].Same)
	require.Equal(t, 1, report[0].Added)
	require.Zero(t, report.Conflicts())
}

// Somebody else enrols the user while it is being copied.
func TestCopyMeetsAnotherWriter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	a, b := face(random, "users", "u", "a"), face(random, "users", "u", "b")
	changed := a
	changed.Owner = "somebody else"
	for name, c := range map[string]struct {
		other     ports.Record
		conflicts int
	}{
		"with another face":              {b, 1},
		"with the same":                  {a, 0},
		"with another of the same name ": {changed, 1},
	} {
		from, to := open(t), open(t)
		add(t, from, a)
		report, err := transfer.Copy(t.Context(), from, hooked{to, func(ctx context.Context, r ports.Record, mode ports.Mode) error {
			if err := to.Add(ctx, c.other, ports.NewUser()); err != nil {
				return err
			}
			return to.Add(ctx, r, mode)
		}}, []string{"users"}, quick)
		require.NoError(t, err, name)
		require.Equal(t, c.conflicts, report.Conflicts(), name)
		require.Equal(t, []ports.Record{c.other}, all(t, to), name)
	}
}

// An outage may be over and come again any number of times, as long as the copy
// gets on in between.
func TestPatienceBeginsAnewWithEachStep(t *testing.T) {
	from, to := filled(t, 100), open(t)
	o := quick
	o.Retry.MaxTotal = o.Retry.FirstWait // one repetition
	_, err := transfer.Copy(t.Context(), &flaky{VectorStore: from, every: 20}, to, collections, o)
	require.NoError(t, err)
	require.Equal(t, all(t, from), all(t, to))
}

// A user with more faces than anybody can have would break the bound on memory.
func TestCopyRefusesAUserOfTooManyFaces(t *testing.T) {
	crowd := generator{users: 1001, change: func(r *ports.Record) { r.FaceID, r.UserID = r.UserID, "one" }}
	_, err := transfer.Copy(t.Context(), crowd, open(t), []string{"users"}, quick)
	require.ErrorIs(t, err, ports.ErrInvalid)
	require.ErrorContains(t, err, "more than 1000 faces")
	crowd.users = 1000
	_, err = transfer.Copy(t.Context(), crowd, open(t), []string{"users"}, quick)
	require.NoError(t, err)
}

func TestCopyReportsProgress(t *testing.T) {
	from, to := filled(t, 40), open(t)
	var seen []int
	o := quick
	o.Progress = func(done, total int) {
		seen = append(seen, done)
		if total != 120 {
			seen = append(seen, -total)
		}
	}
	_, err := transfer.Copy(t.Context(), from, to, collections, o)
	require.NoError(t, err)
	require.Len(t, seen, 120)
	for i, done := range seen {
		require.Equal(t, i+1, done)
	}
}

func TestCopyNamesAFewConflictsOnly(t *testing.T) {
	from, to := filled(t, 30), open(t)
	for _, r := range all(t, from) {
		r.Owner = "somebody else"
		if r.FaceID == "f0" {
			add(t, to, r)
		}
	}
	report, err := transfer.Copy(t.Context(), from, to, []string{"users"}, quick)
	require.NoError(t, err)
	require.Equal(t, report[0].Faces, report[0].Conflicts)
	require.Len(t, report[0].Examples, 5)
}
