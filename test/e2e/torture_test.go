package e2e

import (
	"context"
	"encoding/base64"
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

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"imago/core/facechip"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/history"
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
	// searches is how many of 20 calls are searches; the others are changes.
	searches int

	*history.History
	mu      sync.Mutex
	slowest int64 // call since longest was asked, in nanoseconds
}

func newTorture(t *testing.T, settle time.Duration, env ...string) *torture {
	t.Helper()
	// What is tortured is the gallery: more changes a second matter more than
	// steady templates, and whose face it is does not matter.
	env = append(env, "IMAGO_INFERENCE_REFINE=false", "IMAGO_INFERENCE_DETECT_SIZES=160", "IMAGO_QUALITY_ENABLED=false", "IMAGO_INVENTORY_SAME_PERSON=0")
	x := &torture{t: t, env: env, settle: settle, searches: 4, History: history.New()}
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
	if random.IntN(20) < x.searches {
		return x.find(ctx, s, client, picture)
	}
	switch n := random.IntN(16); {
	case n < 6:
		return x.change(ctx, s, client, history.Act{User: user, Kind: history.Enrols, Face: picture}, "POST", "/users/"+user)
	case n < 9:
		return x.change(ctx, s, client, history.Act{User: user, Kind: history.Replaces, Face: picture}, "PUT", "/users/"+user)
	case n < 12:
		return x.change(ctx, s, client, history.Act{User: user, Kind: history.Adds, Face: picture}, "POST", "/users/"+user+"/faces")
	}
	return x.change(ctx, s, client, history.Act{User: user, Kind: history.Unenrols, Face: 0}, "DELETE", "/users/"+user)
}

func (x *torture) change(ctx context.Context, s *server, client int, a history.Act, method, path string) (gone bool) {
	body := ""
	if a.Kind != history.Unenrols {
		body = x.pictures[a.Face]
	}
	call := x.Now()
	// A call that has begun is seen through: the answer counts.
	got, err := s.call(context.WithoutCancel(ctx), method, path, body)
	x.took(call)
	switch {
	case err != nil && refusedConnection(err):
		return true
	case err != nil || got.status == http.StatusServiceUnavailable || got.status == http.StatusGatewayTimeout:
		x.Note(client, a, call, x.Now()+int64(x.settle), history.Unknown)
		return err != nil
	case got.status == http.StatusOK:
		x.Note(client, a, call, x.Now(), history.Yes)
	case got.body == duplicate || got.status == http.StatusNotFound:
		x.Note(client, a, call, x.Now(), history.No)
	default:
		x.t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
	}
	return false
}

// find searches, which says of every user whether the picture is theirs. A search
// that failed says nothing.
func (x *torture) find(ctx context.Context, s *server, client, picture int) (gone bool) {
	call := x.Now()
	body := x.pictures[picture]
	got, err := s.call(context.WithoutCancel(ctx), "POST", "/users/search", body[:len(body)-1]+`,"threshold":99.9,"limit":100}`)
	back := x.Now()
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
		o := history.No
		if named[user] {
			o = history.Yes
		}
		x.Note(client, history.Act{User: user, Kind: history.Finds, Face: picture}, call, back, o)
	}
	return false
}

// took notes the time of a call that began then.
func (x *torture) took(call int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.slowest = max(x.slowest, x.Now()-call)
}

// longest returns the time of the slowest call since it was last asked.
func (x *torture) longest() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	slowest := x.slowest
	x.slowest = 0
	return time.Duration(slowest).Round(time.Millisecond)
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
	changes, finds := x.Count()
	x.RequireLinearizable(x.t)
	x.t.Logf("%s: %d changes acknowledged, %d refused, %d of unknown outcome; %d searches; nothing lost, nothing stale",
		what, changes[history.Yes], changes[history.No], changes[history.Unknown], finds/len(x.users))
	require.Positive(x.t, changes[history.Yes])
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

// The same over PostgreSQL, with two imagos that both answer searches: in turns the
// younger, the server and the elder are killed, and one sleeps while the other works. In the
// end every face has the chip that was stored with it.
func TestTorturePGVector(t *testing.T) {
	t.Parallel()
	n := kills(t, 8)
	pg := servers.Postgres(t)
	x := newTorture(t, 10*time.Second, "IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN="+pg.DSN(),
		"IMAGO_INVENTORY_KEEP_CHIPS=true", "IMAGO_CHIPS_KEY="+base64.StdEncoding.EncodeToString(chipKey[:]))
	x.searches = 10
	random := rand.New(rand.NewPCG(6, 2))
	elder := start(t, x.env...)
	for i := range n {
		younger := start(t, x.env...)
		x.both(younger, elder, random, func() {
			switch i % 4 {
			case 0:
				younger.kill()
			case 1:
				pg.Kill()
				require.NoError(t, pg.Restart())
				elder.waitReady()
				younger.waitReady()
			case 2:
				sleeper := []*server{elder, younger}[random.IntN(2)]
				sleeper.freeze()
				time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
				sleeper.thaw()
				time.Sleep(100 * time.Millisecond) // for its searches
				younger.kill()
			case 3:
				elder.kill()
			}
		})
		if i%4 == 3 {
			elder = younger
		} else {
			younger.kill()
		}
	}
	x.finish(elder, fmt.Sprintf("%d kills of two imagos and PostgreSQL, %d naps", n, (n+1)/4))
	requireChips(t, pg.DSN())
}

var chipKey = [32]byte{0: 1, 31: 2}

// requireChips checks that every face in a PostgreSQL has its own chip.
func requireChips(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	rows, err := conn.Query(t.Context(), `SELECT collection, user_id, face_id, chip FROM imago.faces`)
	require.NoError(t, err)
	cipher, n := facechip.New(chipKey), 0
	for ; rows.Next(); n++ {
		var user ports.UserKey
		var face string
		var chip []byte
		require.NoError(t, rows.Scan(&user.Collection, &user.UserID, &face, &chip))
		_, err := cipher.Open(chip, user, face)
		require.NoError(t, err, "%s/%s", user.UserID, face)
	}
	require.NoError(t, rows.Err())
	require.Positive(t, n)
	t.Logf("%d faces with their chips", n)
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

// both lets clients work on two imagos over one gallery until strike has returned.
func (x *torture) both(a, b *server, random *rand.Rand, strike func()) {
	x.meanwhile(b, random, func() { x.run(a, random, strike) })
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
