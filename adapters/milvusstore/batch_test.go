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

// gathered opens a store over a fake server whose calls are put together.
func gathered(t *testing.T, server *fakeServer) (*store, *fakeTable) {
	t.Helper()
	s, table := instance(t, server, 2)
	s.driver.table = newBatchingTable(table)
	return s, table
}

// noted counts the requests of a table, each of which takes a while.
func noted(table *fakeTable, while time.Duration) map[string]int {
	var mu sync.Mutex
	requests := map[string]int{}
	table.before = func(_ context.Context, call, _ string) error {
		mu.Lock()
		requests[call]++
		mu.Unlock()
		time.Sleep(while)
		return nil
	}
	return requests
}

// Many instances change many users at the same time, and of each user one
// enrolment is acknowledged, as if every caller had sent requests of its own.
func TestBatchedEnrolments(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			server := newFakeServer()
			stores := make([]*store, 3)
			for i := range stores {
				s, table := gathered(t, server)
				slow(table, seeded(seed*10+uint64(i)), 40*time.Millisecond)
				stores[i] = s
			}
			const people, attempts = 20, 3
			errs := fixture.Together(people*attempts, func(i int) error {
				user := fmt.Sprintf("user-%d", i%people)
				return stores[i/people].Add(t.Context(), record(user, fmt.Sprintf("face-%d", i), east), ports.NewUser())
			})
			for user := range people {
				won := -1
				for i := user; i < len(errs); i += people {
					if errs[i] == nil {
						require.Negative(t, won, "two enrolments were acknowledged")
						won = i
					} else {
						require.ErrorIs(t, errs[i], ports.ErrExists)
					}
				}
				require.Equal(t, []string{fmt.Sprintf("face-%d", won)}, faceIDs(t, stores[0], fmt.Sprintf("user-%d", user)))
			}
			require.Len(t, server.inserted, people)
			require.Empty(t, server.of(claimsPartition))
			requireSerial(t, server)
		})
	}
}

// Callers who come together share requests, and who is alone does not wait.
func TestRequestsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, table := gathered(t, newFakeServer())
		requests := noted(table, 10*time.Millisecond)
		began := time.Now()
		require.NoError(t, s.Add(t.Context(), record("ada", "f", east), ports.NewUser()))
		require.Equal(t, 40*time.Millisecond, time.Since(began))
		require.Equal(t, map[string]int{"insert claims": 1, "read": 1, "insert faces": 1, "remove": 1}, requests)

		clear(requests)
		errs := fixture.Together(200, func(i int) error {
			return s.Add(t.Context(), record(fmt.Sprintf("user-%d", i), "f", east), ports.NewUser())
		})
		require.NoError(t, errors.Join(errs...))
		for call, n := range requests {
			require.LessOrEqual(t, n, 24, call)
		}
	})
}

// blocked keeps all workers of the removals of a table busy until release.
func blocked(t *testing.T, g *batchingTable, table *fakeTable) (release func()) {
	t.Helper()
	gate := make(chan struct{})
	table.before = func(ctx context.Context, _, _ string) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for range maxRunning {
		go func() { _ = g.remove(context.Background(), []string{"busy"}) }()
		synctest.Wait()
	}
	return func() { close(gate) }
}

// One who leaves before the request is sent is not in it, and takes nobody along;
// one who leaves later gets no answer.
func TestLeavingARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newFakeServer()
		table := &fakeTable{fakeServer: server}
		g := newBatchingTable(table)
		release := blocked(t, g, table)
		ctx, cancel := context.WithCancel(t.Context())
		var left, stayed error
		go func() { left = g.remove(ctx, []string{"left"}) }()
		go func() { stayed = g.remove(t.Context(), []string{"stayed"}) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		require.ErrorIs(t, left, context.Canceled)
		release()
		synctest.Wait()
		require.NoError(t, stayed)
		require.Contains(t, server.removed, "stayed")
		require.NotContains(t, server.removed, "left")
	})
}

// A request ends at the earliest deadline of its calls, and one whose deadline is
// near shares none.
func TestDeadlinesOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakeTable{fakeServer: newFakeServer()}
		g := newBatchingTable(table)
		release := blocked(t, g, table)
		deadlines := map[string]time.Duration{}
		for about, within := range map[string]time.Duration{
			"near": minBatchTime - time.Millisecond, "early": 3 * time.Second, "late": 5 * time.Second, "none": time.Hour,
		} {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				defer cancel()
				_ = g.remove(ctx, []string{about})
			}()
		}
		synctest.Wait()
		now := time.Now()
		var mu sync.Mutex
		table.after = func(ctx context.Context, _, about string) error {
			mu.Lock()
			defer mu.Unlock()
			if deadline, ok := ctx.Deadline(); ok {
				for id := range strings.FieldsSeq(about) {
					deadlines[id] = deadline.Sub(now)
				}
			}
			return nil
		}
		release()
		synctest.Wait()
		require.Equal(t, map[string]time.Duration{
			"near": minBatchTime - time.Millisecond, "early": 3 * time.Second, "late": 3 * time.Second, "none": 3 * time.Second,
		}, deadlines)
	})
}

// A failure is everybody's, and what cannot be read together is read apart.
func TestSharedFailures(t *testing.T) {
	table := &fakeTable{fakeServer: newFakeServer()}
	g := newBatchingTable(table)
	for _, user := range []string{"ada", "bob"} {
		require.NoError(t, g.insert(t.Context(), facesPartition, faceRow(record(user, "f", east), 1, true)))
	}
	keys := []key{{users, "ada"}, {users, "nobody"}, {users, "bob"}}
	each, err := g.readBatch(t.Context(), keys)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0, 1}, []int{len(each[0]), len(each[1]), len(each[2])})

	var calls []*call[key, []row]
	for _, k := range keys {
		calls = append(calls, &call[key, []row]{ctx: t.Context(), request: k})
	}
	table.after = func(_ context.Context, _, about string) error {
		if strings.Contains(about, "ada") {
			return errForeignRow
		}
		return nil
	}
	g.reads.sendBatch(calls)
	require.ErrorIs(t, calls[0].err, errForeignRow)
	require.NoError(t, calls[1].err)
	require.Empty(t, calls[1].response)
	require.NoError(t, calls[2].err)
	require.Equal(t, "bob", calls[2].response[0].key().UserID)

	table.before = failing(0)
	g.reads.sendBatch(calls)
	for _, c := range calls {
		require.ErrorIs(t, c.err, errDown)
	}
}

// No request is larger than it may be, and the first in line is always in the next.
func TestSizeOfRequests(t *testing.T) {
	var l batchQueue[[]string, struct{}]
	l.size = func(ids []string) int { return len(ids) }
	for _, n := range []int{2 * maxBatch, maxBatch - 1, 2, 1} {
		l.pending = append(l.pending, &call[[]string, struct{}]{ctx: t.Context(), request: make([]string, n)})
	}
	var sizes [][]int
	for calls := l.nextBatch(); len(calls) > 0; calls = l.nextBatch() {
		var each []int
		for _, c := range calls {
			each = append(each, len(c.request))
		}
		sizes = append(sizes, each)
	}
	require.Equal(t, [][]int{{2 * maxBatch}, {maxBatch - 1, 1}, {2}}, sizes)
	require.True(t, slices.Equal(l.pending, nil))
}
