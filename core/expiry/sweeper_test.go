package expiry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// fakeStore has users who expire, and answers err.
type fakeStore struct {
	mu    sync.Mutex
	users map[ports.UserKey]time.Time
	err   error
}

func (s *fakeStore) Expired(_ context.Context, collection string, at time.Time, limit int) (ids []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user, expires := range s.users {
		if user.Collection == collection && !expires.After(at) && len(ids) < limit {
			ids = append(ids, user.UserID)
		}
	}
	return ids, s.err
}

func (s *fakeStore) Expire(_ context.Context, user ports.UserKey, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if expires, there := s.users[user]; !there || expires.After(at) {
		return ports.ErrNotFound
	}
	delete(s.users, user)
	return nil
}

func (s *fakeStore) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeStore) has(user ports.UserKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.users[user]
	return there
}

func (s *fakeStore) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.users)
}

// expiring returns a store with users who expire one minute after another.
func expiring(collection string, n int) *fakeStore {
	s := &fakeStore{users: map[ports.UserKey]time.Time{}}
	for i := range n {
		s.users[ports.UserKey{Collection: collection, UserID: fmt.Sprintf("user-%03d", i)}] = time.Now().Add(time.Duration(i) * time.Minute)
	}
	return s
}

// trail collects the lines of an audit log.
type trail struct {
	mu    sync.Mutex
	lines []string
	err   error
}

func (a *trail) write(e ports.AuditEntry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.lines = append(a.lines, fmt.Sprint(e.Phase, " ", e.Operation, " ", e.Collection, "/", e.UserID, " ", e.Status, " ", e.Client, e.Address))
	}
	return a.err
}

func (a *trail) sorted() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(slices.Values(a.lines))
}

func startSweeper(t *testing.T, s Store, o Options) *bytes.Buffer {
	var log bytes.Buffer
	o.Within = 10 * time.Minute
	sweeper := New(s, o, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, sweeper.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, sweeper.Close(context.Background())) })
	return &log
}

// Everybody who has expired is erased within the time, with a line each, and nobody else.
func TestSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, lines, counted, begin := expiring("users", 20), &trail{}, 0, time.Now()
		elsewhere := ports.UserKey{Collection: "unconfigured", UserID: "eve"}
		s.users[elsewhere] = time.Now()
		log := startSweeper(t, s, Options{
			Collections: []string{"users", "blacklist"}, Audit: lines.write,
			Erased: func(collection string, users int) { require.Equal(t, "users", collection); counted += users },
		})
		time.Sleep(5*time.Minute - time.Second)
		synctest.Wait()
		require.Equal(t, 21, s.left(), "a clock that is wrong after the start has time to be set right")
		for i := range 20 {
			time.Sleep(time.Until(begin.Add(time.Duration(i+10) * time.Minute)))
			synctest.Wait()
			require.False(t, s.has(ports.UserKey{Collection: "users", UserID: fmt.Sprintf("user-%03d", i)}), "user %d, ten minutes after the expiry", i)
		}
		require.Equal(t, 1, s.left())
		require.True(t, s.has(elsewhere))
		require.Equal(t, 20, counted)
		require.Len(t, lines.sorted(), 20)
		require.Equal(t, "outcome expire users/user-000 200 imago", lines.sorted()[0])
		require.Contains(t, log.String(), `msg="expired users erased" component=expiry collection=users users=`)
		require.NotContains(t, log.String(), "user-0", "IDs may be personal data")
	})
}

// However many have expired, one round erases all.
func TestSweeperErasesMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := expiring("users", 0)
		for i := range 1000 {
			s.users[ports.UserKey{Collection: "users", UserID: fmt.Sprint(i)}] = time.Now()
		}
		startSweeper(t, s, Options{Collections: []string{"users"}})
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		require.Zero(t, s.left())
	})
}

// What the store cannot do is done when it can again.
func TestSweeperTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := expiring("users", 1)
		log := startSweeper(t, s, Options{Collections: []string{"users"}})
		s.set(errors.New("disk on fire"))
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		require.Equal(t, 1, s.left())
		require.Contains(t, log.String(), "cannot erase expired users, trying again")
		s.set(nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Zero(t, s.left())
	})
}

// Where the audit log is required, nobody is erased without a line.
func TestSweeperWithRequiredAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, lines := expiring("users", 1), &trail{err: errors.New("disk full")}
		startSweeper(t, s, Options{Collections: []string{"users"}, Audit: lines.write, Required: true})
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		require.Equal(t, 1, s.left())
		lines.mu.Lock()
		lines.err = nil
		lines.mu.Unlock()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Zero(t, s.left())
		require.Equal(t, []string{"intent expire users/user-000 0 imago", "outcome expire users/user-000 200 imago"}, lines.sorted())
	})
}

// A clock that jumps forward erases nobody; those whose time has come meanwhile are erased.
func TestSweeperWithAJumpingClock(t *testing.T) {
	s := expiring("users", 0)
	soon, later := ports.UserKey{Collection: "users", UserID: "soon"}, ports.UserKey{Collection: "users", UserID: "later"}
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	s.users[soon], s.users[later] = noon.Add(time.Minute), noon.Add(time.Hour)
	var r reading
	var log bytes.Buffer
	sweeper := New(s, Options{Collections: []string{"users"}, Within: 10 * time.Minute}, slog.New(slog.NewTextHandler(&log, nil)))
	sweeper.clock.read = func() reading { return r }
	at := func(elapsed, ahead time.Duration) {
		r = reading{noon.Add(elapsed + ahead), elapsed}
		sweeper.sweep(t.Context())
	}
	at(0, 0)
	at(5*time.Minute, 1000*time.Hour)
	require.NotContains(t, s.users, soon)
	require.Contains(t, s.users, later)
	require.Contains(t, log.String(), "level=WARN msg=\"system clock was set forward")
	at(44*time.Minute, 1000*time.Hour)
	require.Contains(t, s.users, later)
	at(45*time.Minute, 1000*time.Hour)
	require.NotContains(t, s.users, later, "it has stood for four times as long")
}
