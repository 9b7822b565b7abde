package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/servers"
)

// kills returns how often a torture kills: IMAGO_TORTURE_KILLS, or a few times.
func kills(t *testing.T, few int) int {
	t.Helper()
	set := os.Getenv("IMAGO_TORTURE_KILLS")
	if set == "" {
		return few
	}
	n, err := strconv.Atoi(set)
	require.NoError(t, err)
	return n
}

// torture is a stream of concurrent changes of a few users, whose every call and
// answer is written down.
type torture struct {
	t        *testing.T
	env      []string
	users    []string
	pictures []string // bodies of requests
	// settle is how long a request whose outcome is unknown may take effect
	// after imago has been killed.
	settle time.Duration

	began   time.Time
	mu      sync.Mutex
	history []porcupine.Operation
	slowest int64 // call since longest was asked, in nanoseconds
}

func newTorture(t *testing.T, settle time.Duration, env ...string) *torture {
	t.Helper()
	// What is tortured is the gallery: more changes a second matter more than
	// steady templates.
	env = append(env, "IMAGO_INFERENCE_REFINE=false", "IMAGO_INFERENCE_DETECT_SIZES=160", "IMAGO_QUALITY_ENABLED=false")
	x := &torture{t: t, env: env, settle: settle, began: time.Now()}
	for i := range 12 {
		x.users = append(x.users, fmt.Sprintf("user-%02d", i))
	}
	for _, person := range [][]byte{fixture.ReadPortrait(t, "obama.jpg"), fixture.ReadPortrait(t, "biden.jpg"), portrait(t)} {
		x.pictures = append(x.pictures, faceJSON(person))
	}
	return x
}

// run lets clients work on a running imago until strike, which is called after a
// while, has returned.
func (x *torture) run(s *server, random *rand.Rand, strike func()) {
	const clients = 6
	ctx, cancel := context.WithCancel(x.t.Context())
	defer cancel()
	var all sync.WaitGroup
	for c := range clients {
		own := rand.New(rand.NewPCG(random.Uint64(), uint64(c)))
		all.Go(func() {
			for ctx.Err() == nil {
				if x.step(ctx, s, c, own) {
					return
				}
			}
		})
	}
	time.Sleep(time.Duration(50+random.IntN(600)) * time.Millisecond)
	strike()
	cancel()
	all.Wait()
}

// step makes one call and reports whether nobody was there to answer.
func (x *torture) step(ctx context.Context, s *server, client int, random *rand.Rand) (gone bool) {
	user, picture := x.users[random.IntN(len(x.users))], random.IntN(len(x.pictures))
	switch n := random.IntN(20); {
	case n < 6:
		return x.change(ctx, s, client, act{user, enrols, picture}, "POST", "/users/"+user)
	case n < 9:
		return x.change(ctx, s, client, act{user, replaces, picture}, "PUT", "/users/"+user)
	case n < 12:
		return x.change(ctx, s, client, act{user, adds, picture}, "POST", "/users/"+user+"/faces")
	case n < 16:
		return x.change(ctx, s, client, act{user, unenrols, 0}, "DELETE", "/users/"+user)
	}
	return x.find(ctx, s, client, picture)
}

func (x *torture) change(ctx context.Context, s *server, client int, a act, method, path string) (gone bool) {
	body := ""
	if a.kind != unenrols {
		body = x.pictures[a.picture]
	}
	call := x.now()
	// A call that has begun is seen through: the answer counts.
	got, err := s.call(context.WithoutCancel(ctx), method, path, body)
	x.took(call)
	switch {
	case err != nil && refusedConnection(err):
		return true
	case err != nil || got.status == http.StatusServiceUnavailable || got.status == http.StatusGatewayTimeout:
		x.note(client, a, call, x.now()+int64(x.settle), unknown)
		return err != nil
	case got.status == http.StatusOK:
		x.note(client, a, call, x.now(), yes)
	case got.body == duplicate || got.status == http.StatusNotFound:
		x.note(client, a, call, x.now(), no)
	default:
		x.t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
	}
	return false
}

// find searches, which says of every user whether the picture is theirs. A search
// that failed says nothing.
func (x *torture) find(ctx context.Context, s *server, client, picture int) (gone bool) {
	call := x.now()
	body := x.pictures[picture]
	got, err := s.call(context.WithoutCancel(ctx), "POST", "/users/search", body[:len(body)-1]+`,"threshold":99.9,"limit":100}`)
	back := x.now()
	x.took(call)
	if err != nil {
		return true
	}
	var found struct{ Matches []match }
	switch got.status {
	case http.StatusOK:
		if err := json.Unmarshal([]byte(got.body), &found); err != nil {
			x.t.Errorf("%s: %v", got.body, err)
		}
	case http.StatusNotFound:
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return false
	default:
		x.t.Errorf("search: %d %s", got.status, got.body)
		return false
	}
	named := map[string]bool{}
	for _, m := range found.Matches {
		named[m.UserID] = true
	}
	for _, user := range x.users {
		o := no
		if named[user] {
			o = yes
		}
		x.note(client, act{user, finds, picture}, call, back, o)
	}
	return false
}

func (x *torture) now() int64 { return time.Since(x.began).Nanoseconds() }

// took notes the time of a call that began then.
func (x *torture) took(call int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.slowest = max(x.slowest, x.now()-call)
}

// longest returns the time of the slowest call since it was last asked.
func (x *torture) longest() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	slowest := x.slowest
	x.slowest = 0
	return time.Duration(slowest).Round(time.Millisecond)
}

func (x *torture) note(client int, a act, call, back int64, o outcome) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.history = append(x.history, porcupine.Operation{ClientId: client, Input: a, Call: call, Output: o, Return: back})
}

// refusedConnection reports whether a request never reached anybody.
func refusedConnection(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// finish looks at every user once more and judges.
func (x *torture) finish(s *server, what string) {
	x.t.Helper()
	for picture := range x.pictures {
		require.False(x.t, x.find(x.t.Context(), s, 0, picture))
	}
	answers := map[outcome]int{}
	changes := 0
	for _, o := range x.history {
		if o.Input.(act).kind != finds {
			changes++
			answers[o.Output.(outcome)]++
		}
	}
	requireLinearizable(x.t, x.history)
	x.t.Logf("%s: %d changes, of which %d acknowledged, %d refused, %d of unknown outcome; %d looks at a user; nothing lost",
		what, changes, answers[yes], answers[no], answers[unknown], len(x.history)-changes)
	require.Positive(x.t, answers[yes])
}

// imago is killed again and again under concurrent changes, over the memory
// store's file. `make torture` does it many times over.
func TestTortureMemory(t *testing.T) {
	t.Parallel()
	n := kills(t, 6)
	x := newTorture(t, 0, "IMAGO_STORE_MEMORY_PATH="+filepath.Join(t.TempDir(), "imago.db"))
	random := rand.New(rand.NewPCG(6, 1))
	for range n {
		s := start(t, x.env...)
		x.run(s, random, s.kill)
	}
	x.finish(start(t, x.env...), fmt.Sprintf("%d kills of imago over the memory store", n))
}

// The same over PostgreSQL, with a second imago that lives on, and the database
// server is killed every other time.
func TestTorturePGVector(t *testing.T) {
	t.Parallel()
	n := kills(t, 6)
	pg := servers.Postgres(t)
	x := newTorture(t, 10*time.Second, "IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN="+pg.DSN())
	random := rand.New(rand.NewPCG(6, 2))
	survivor := start(t, x.env...)
	for i := range n {
		if i%2 == 1 {
			x.run(survivor, random, func() {
				pg.Kill()
				require.NoError(t, pg.Restart())
				survivor.waitReady()
			})
			continue
		}
		s := start(t, x.env...)
		x.both(s, survivor, random)
	}
	x.finish(survivor, fmt.Sprintf("%d kills of imago and PostgreSQL", n))
}

// The same over Milvus, where the imago that lives on works throughout. A request
// that was under way when its imago was killed may take effect for as long as its
// claim is respected, and a user with such a claim is not changed until it is
// found dead: there are users enough that most are free.
func TestTortureMilvus(t *testing.T) {
	t.Parallel()
	n := kills(t, 3)
	milvus := servers.OwnMilvus(t, servers.MilvusOptions{})
	x := newTorture(t, 15*time.Second, "IMAGO_STORE_DRIVER=milvus", "IMAGO_STORE_MILVUS_ADDRESS="+milvus.Address())
	for i := len(x.users); i < 60; i++ {
		x.users = append(x.users, fmt.Sprintf("user-%02d", i))
	}
	random := rand.New(rand.NewPCG(6, 3))
	survivor := start(t, x.env...)
	x.meanwhile(survivor, random, func() {
		for range n {
			s := start(t, x.env...)
			x.run(s, random, s.kill)
		}
	})
	x.finish(survivor, fmt.Sprintf("%d kills of imago over Milvus", n))
}

// both lets clients work on two imagos over one gallery and kills one.
func (x *torture) both(victim, survivor *server, random *rand.Rand) {
	x.meanwhile(survivor, random, func() { x.run(victim, random, victim.kill) })
}

// meanwhile lets clients work on an imago until strikes has returned.
func (x *torture) meanwhile(survivor *server, random *rand.Rand, strikes func()) {
	done := make(chan struct{})
	var other sync.WaitGroup
	own := rand.New(rand.NewPCG(random.Uint64(), math.MaxUint64))
	other.Go(func() { x.run(survivor, own, func() { <-done }) })
	defer other.Wait()
	defer close(done)
	strikes()
}
