package milvusstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// The tests of this file run in bubbles whose clock jumps ahead while everybody
// waits, so that delays cost nothing.

// TestOneInstanceWins enrols one user on several instances at once, with calls
// that take effect at random moments.
func TestOneInstanceWins(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			server := newFakeServer()
			stores := instances(t, server, 4, seed)
			errs := fixture.Together(12, func(i int) error {
				return stores[i%len(stores)].Add(t.Context(), record("ada", fmt.Sprintf("face-%02d", i), east), ports.NewUser())
			})
			winner := slices.Index(errs, nil)
			require.GreaterOrEqual(t, winner, 0, "nobody won: %v", errs[0])
			for i, err := range errs {
				if i != winner {
					require.ErrorIs(t, err, ports.ErrExists)
				}
			}
			require.Equal(t, []string{fmt.Sprintf("face-%02d", winner)}, faceIDs(t, stores[0], "ada"))
			require.Len(t, server.inserted, 1, "a loser's face was to be seen for a while")
			require.NotContains(t, server.removed, server.inserted[0])
			require.Empty(t, server.of(claimsPartition))
		})
	}
}

// TestInstancesChangeOneUser lets instances loose on one user. In the order in
// which changes took effect, each must have been right to succeed.
func TestInstancesChangeOneUser(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			server := newFakeServer()
			stores := instances(t, server, 3, seed)
			errs := fixture.Together(3, func(i int) error {
				rng := seeded(1000*seed + uint64(i))
				for step := range 8 {
					err := changeAtRandom(t.Context(), stores[i], rng.IntN(4), fmt.Sprintf("face-%d-%d", i, step))
					if err != nil && !errors.Is(err, ports.ErrExists) && !errors.Is(err, ports.ErrNotFound) {
						return err
					}
				}
				return nil
			})
			require.NoError(t, errors.Join(errs...))
			require.Empty(t, server.of(claimsPartition))
			requireOneGeneration(t, server)
			requireSerial(t, server)
		})
	}
}

var anyMode = []ports.Mode{ports.NewUser(), ports.FurtherFace(ports.Everybody()), ports.Replacement(ports.Everybody())}

func changeAtRandom(ctx context.Context, s *store, what int, face string) error {
	if what == 0 {
		return s.Remove(ctx, ports.WholeUser(userKey("ada")), ports.Everybody())
	}
	return s.Add(ctx, record("ada", face, east), anyMode[what-1])
}

// requireOneGeneration checks that no face is left that was replaced.
func requireOneGeneration(t *testing.T, server *fakeServer) {
	t.Helper()
	var faces []row
	for _, id := range server.of(facesPartition) {
		faces = append(faces, server.rows[id].row)
	}
	require.Equal(t, len(latest(faces)), len(faces))
	heads := 0
	for _, f := range faces {
		if f.head {
			heads++
		}
	}
	require.Equal(t, min(1, len(faces)), heads, "rows that stand for the user")
}

// requireSerial checks that every face that was removed was there and every face
// was inserted once.
func requireSerial(t *testing.T, server *fakeServer) {
	t.Helper()
	var gone []string
	for _, id := range server.removed {
		if !(row{id: id}).isClaim() {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	require.Equal(t, len(gone), len(slices.Compact(slices.Clone(gone))), "a face was removed twice")
	require.ElementsMatch(t, server.inserted, append(gone, server.of(facesPartition)...))
}

// instances opens stores over a server whose calls take up to 40 ms each way.
func instances(t *testing.T, server *fakeServer, n int, seed uint64) []*store {
	t.Helper()
	stores := make([]*store, n)
	for i := range stores {
		s, table := instance(t, server, 2)
		slow(table, seeded(seed*10+uint64(i)), 40*time.Millisecond)
		stores[i] = s
	}
	return stores
}

// A user with the faces f and g, whom an instance changes and dies.
func withAda(t *testing.T) *fakeServer {
	t.Helper()
	server := newFakeServer()
	s, _ := instance(t, server, 2)
	require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
	require.NoError(t, s.Add(t.Context(), record("ada", "g", east), ports.FurtherFace(ports.Everybody())))
	return server
}

// TestCrashAtEachStep kills an instance at each of its calls, before or after that
// took effect, and then has another do the same and look.
func TestCrashAtEachStep(t *testing.T) {
	changes := map[string]func(ctx context.Context, s *store) error{
		"first": func(ctx context.Context, s *store) error {
			return s.Add(ctx, record("bob", "h", north), ports.NewUser())
		},
		"further": func(ctx context.Context, s *store) error {
			return s.Add(ctx, record("ada", "h", north), ports.FurtherFace(ports.Everybody()))
		},
		"replacement": func(ctx context.Context, s *store) error {
			return s.Add(ctx, record("ada", "h", north), ports.Replacement(ports.Everybody()))
		},
		"remove": func(ctx context.Context, s *store) error {
			return s.Remove(ctx, ports.WholeUser(userKey("ada")), ports.Everybody())
		},
	}
	for name, change := range changes {
		for step := range 5 {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", name, step, late), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { crash(t, change, step, late) })
				})
			}
		}
	}
}

func crash(t *testing.T, change func(context.Context, *store) error, step int, late bool) {
	server := withAda(t)
	before := server.of(facesPartition)
	dying, table := instance(t, server, 2)
	if late {
		table.after = failing(step)
	} else {
		table.before = failing(step)
	}
	first := change(t.Context(), dying)
	if first != nil {
		require.ErrorIs(t, first, ports.ErrUnavailable)
	}

	survivor, _ := instance(t, server, 2)
	go (&claimCleaner{driver: survivor.driver}).run(t.Context())
	began := time.Now()
	second := change(t.Context(), survivor)
	require.Less(t, time.Since(began), 20*time.Second, "a dead claim keeps the user from being changed")
	switch {
	case first == nil:
		// It succeeded and died while tidying up.
		require.True(t, errors.Is(second, ports.ErrExists) || errors.Is(second, ports.ErrNotFound) || second == nil, "%v", second)
	case second != nil:
		require.True(t, errors.Is(second, ports.ErrExists) || errors.Is(second, ports.ErrNotFound), "%v", second)
		require.NotEqual(t, before, server.of(facesPartition), "refused without reason")
	}
	time.Sleep(30 * time.Second)
	require.Empty(t, server.of(claimsPartition), "a claim is left")
	requireOneGenerationEach(t, server)
}

// requireOneGenerationEach is requireOneGeneration for every user.
func requireOneGenerationEach(t *testing.T, server *fakeServer) {
	t.Helper()
	var faces []row
	for _, id := range server.of(facesPartition) {
		faces = append(faces, server.rows[id].row)
	}
	require.Len(t, current(faces), len(faces))
}

// TestUnknownOutcomeKeepsOthersAway has an insertion take effect long after its
// sender has given up, but before the claim is disregarded.
func TestUnknownOutcomeKeepsOthersAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		slowpoke, table := instance(t, server, 2)
		var late sync.WaitGroup
		table.before = func(ctx context.Context, call, about string) error {
			if call != "insert "+facesPartition {
				return nil
			}
			late.Go(func() {
				time.Sleep(claimWindow + (claimLease-claimWindow)/2)
				_ = (&fakeTable{fakeServer: server}).insert(context.Background(), facesPartition, row{id: about, generation: 1, head: true, vector: east})
			})
			<-ctx.Done()
			return ctx.Err()
		}
		other, _ := instance(t, server, 2)
		go (&claimCleaner{driver: other.driver}).run(t.Context())

		errs := fixture.Together(2, func(i int) error {
			if i == 0 {
				return slowpoke.Add(t.Context(), record("ada", "late", east), ports.NewUser())
			}
			time.Sleep(time.Second)
			return other.Add(t.Context(), record("ada", "other", north), ports.NewUser())
		})
		late.Wait()

		require.ErrorIs(t, errs[0], ports.ErrUnavailable)
		require.NotErrorIs(t, errs[0], context.DeadlineExceeded, "the caller's context has not ended")
		require.ErrorIs(t, errs[1], ports.ErrExists)
		require.Equal(t, []string{"late"}, faceIDs(t, other, "ada"))
	})
}

// TestSlowClaimIsNotUsed makes the way to the claim so long that others might
// disregard it before the change is acknowledged.
func TestSlowClaimIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		s, table := instance(t, server, 2)
		table.after = func(_ context.Context, call, _ string) error {
			if call == "read" {
				time.Sleep(claimWindow/2 + time.Millisecond)
			}
			return nil
		}
		err := s.Add(t.Context(), record("ada", "f", east), ports.NewUser())
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.Empty(t, server.inserted)
		require.Empty(t, server.of(claimsPartition))
	})
}

// TestOthersClaims puts claims beside the own one.
func TestOthersClaims(t *testing.T) {
	k := key{users, "ada"}
	for name, test := range map[string]struct {
		claims, dead []string
		alone, yield bool
	}{
		"nobody else":           {claims: []string{"m"}, alone: true},
		"a smaller one":         {claims: []string{"a", "m"}, yield: true},
		"a larger one":          {claims: []string{"m", "z"}},
		"both":                  {claims: []string{"a", "m", "z"}, yield: true},
		"a dead smaller one":    {claims: []string{"a", "m"}, dead: []string{"a"}, alone: true},
		"a dead larger one":     {claims: []string{"m", "z"}, dead: []string{"z"}, alone: true},
		"one dead of two":       {claims: []string{"a", "m", "z"}, dead: []string{"a"}},
		"the own one swept":     {claims: nil, yield: true},
		"another but the own":   {claims: []string{"z"}, yield: true},
		"the own held for dead": {claims: []string{"m"}, dead: []string{"m"}, alone: true},
	} {
		dead := map[string]bool{}
		for _, id := range test.dead {
			dead[id] = true
		}
		alone, err := claim{key: k, id: "m"}.contend(test.claims, dead)
		require.Equal(t, test.yield, errors.Is(err, errYield), name)
		require.Equal(t, test.alone, alone, name)
	}
}

// TestLargerClaimIsWaitedFor and TestSmallerClaimGoesFirst look at a claim that
// stays for a second.
func TestLargerClaimIsWaitedFor(t *testing.T) {
	requireWaits(t, key{users, "ada"}.prefix()+separator+"~")
}

func TestSmallerClaimGoesFirst(t *testing.T) {
	requireWaits(t, key{users, "ada"}.prefix()+separator+"!")
}

func requireWaits(t *testing.T, other string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		s, table := instance(t, server, 2)
		require.NoError(t, table.insert(t.Context(), claimsPartition, row{id: other, vector: east}))
		began := time.Now()
		go func() {
			time.Sleep(time.Second)
			_ = (&fakeTable{fakeServer: server}).remove(context.Background(), []string{other})
		}()
		require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
		require.GreaterOrEqual(t, time.Since(began), time.Second)
		require.Empty(t, server.of(claimsPartition))
	})
}

// TestRefusedBesideAClaim checks that nobody waits for others to be told what is
// true already.
func TestRefusedBesideAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := withAda(t)
		s, table := instance(t, server, 2)
		for _, user := range []string{"ada", "bob"} {
			require.NoError(t, table.insert(t.Context(), claimsPartition, row{id: claimID(key{users, user}), vector: east}))
		}
		require.ErrorIs(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()), ports.ErrExists)
		require.ErrorIs(t, s.Add(t.Context(), record("ada", "f", east), ports.FurtherFace(ports.Everybody())), ports.ErrExists)
		require.ErrorIs(t, s.Add(t.Context(), record("bob", "f", east), ports.Replacement(ports.Everybody())), ports.ErrNotFound)
		require.ErrorIs(t, s.Remove(t.Context(), ports.WholeUser(userKey("bob")), ports.Everybody()), ports.ErrNotFound)
		require.Len(t, server.of(claimsPartition), 2)
	})
}

// TestPatienceEnds waits for a claim that never goes.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		s, table := instance(t, server, 2)
		require.NoError(t, table.insert(t.Context(), claimsPartition, row{id: claimID(key{users, "ada"}), vector: east}))
		began := time.Now()
		errs := fixture.Together(2, func(int) error {
			return s.Add(t.Context(), record("ada", "f", east), ports.NewUser())
		})
		require.ErrorIs(t, errs[0], ports.ErrUnavailable)
		require.ErrorIs(t, errs[1], ports.ErrUnavailable)
		require.Less(t, time.Since(began), 3*writePatience)
		require.Empty(t, s.driver.locks.locks)
		require.Len(t, server.of(claimsPartition), 1)
	})
}

// TestCallerLeaves cancels a write at each of its calls: it is done whole or not
// at all, and no claim is left.
func TestCallerLeaves(t *testing.T) {
	for step := range 4 {
		synctest.Test(t, func(t *testing.T) {
			server := newFakeServer()
			s, table := instance(t, server, 2)
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			table.after = func(context.Context, string, string) error {
				if n == step {
					cancel()
				}
				n++
				return nil
			}
			err := s.Add(ctx, record("ada", "f", east), ports.NewUser())
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				require.NotErrorIs(t, err, ports.ErrUnavailable)
			}
			require.Equal(t, err == nil, len(server.inserted) == 1)
			require.Equal(t, step >= 2, err == nil, "the commit begins with the third call")
			require.Empty(t, server.of(claimsPartition))
		})
	}
}

// TestWaitingCallersShareTheAnswer checks that many enrolments of one user on one
// instance do not each ask the server.
func TestWaitingCallersShareTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		s, table := instance(t, server, 2)
		slow(table, seeded(1), 10*time.Millisecond)
		errs := fixture.Together(100, func(i int) error {
			return s.Add(t.Context(), record("ada", fmt.Sprintf("face-%d", i), east), ports.NewUser())
		})
		require.Equal(t, 99, strings.Count(fmt.Sprint(errors.Join(errs...)), ports.ErrExists.Error()))
		require.Len(t, server.used, 2, "one claim and one face")
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey("ada")), ports.Everybody()))
		require.NoError(t, s.Add(t.Context(), record("ada", "again", east), ports.NewUser()), "the answer is shared for too long")
	})
}

// TestSweeper checks when a claim counts as dead.
func TestSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		s, table := instance(t, server, 2)
		w := &claimCleaner{driver: s.driver}
		dead := claimID(key{users, "ada"})
		require.NoError(t, table.insert(t.Context(), claimsPartition, row{id: dead, vector: east}))
		require.NoError(t, w.clean(t.Context()))
		for range 3 {
			time.Sleep(claimLease/3 - time.Millisecond)
			// Other claims come and go on the same user.
			passing := claimID(key{users, "ada"})
			require.NoError(t, table.insert(t.Context(), claimsPartition, row{id: passing, vector: east}))
			require.NoError(t, w.clean(t.Context()))
			require.Contains(t, server.of(claimsPartition), dead, "removed too early")
			require.NoError(t, table.remove(t.Context(), []string{passing}))
		}
		time.Sleep(4 * time.Millisecond)
		require.NoError(t, w.clean(t.Context()))
		require.Empty(t, server.of(claimsPartition))
		require.NoError(t, w.clean(t.Context()))
		require.Empty(t, w.firstSeen)

		table.before = failing(0)
		require.ErrorIs(t, w.clean(t.Context()), errDown)
	})
}

// TestSweeperFinishesReplacements finds a user with an old and a new face.
func TestSweeperFinishesReplacements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := withAda(t)
		dying, table := instance(t, server, 2)
		table.before = failing(3)
		err := dying.Add(t.Context(), record("ada", "new", north), ports.Replacement(ports.Everybody()))
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.Len(t, server.of(facesPartition), 3)

		s, _ := instance(t, server, 2)
		require.Equal(t, []string{"new"}, faceIDs(t, s, "ada"), "the old faces still count")
		w := &claimCleaner{driver: s.driver}
		require.NoError(t, w.clean(t.Context()))
		time.Sleep(claimLease)
		require.NoError(t, w.clean(t.Context()))
		require.Empty(t, server.of(claimsPartition))
		require.Len(t, server.of(facesPartition), 1)
	})
}
