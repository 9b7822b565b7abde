package milvusstore

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/config"
	"imago/core/vectorstore"
	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Tests wait for the server's time ticks most of the time; fuzzing does not.
	if flag.Lookup("test.fuzz").Value.String() == "" {
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(withServer{m})
}

// withServer stops the shared server after the tests, before leaks are looked for.
type withServer struct{ tests *testing.M }

func (w withServer) Run() int {
	defer func() {
		if shared.server != nil {
			shared.dropAll()
			shared.server.Stop()
		}
	}()
	return w.tests.Run()
}

// shared is the server of all tests but those that kill theirs. The first test
// that needs it starts it.
var shared pool

// pool hands out Milvus collections, which take 3 seconds to be loaded: one that
// a test is done with is emptied and handed to the next that wants the same.
type pool struct {
	once   sync.Once
	server *servers.MilvusServer
	err    error

	mu   sync.Mutex
	free map[string][]string // by space and index
	all  []string
	made atomic.Int64
}

func (p *pool) address(tb testing.TB) string {
	tb.Helper()
	p.once.Do(func() { p.server, p.err = servers.StartMilvus(servers.MilvusOptions{}) })
	servers.Need(tb, servers.Milvus, p.err)
	return p.server.Address()
}

// settings returns the configuration of a Milvus collection that is empty and the
// test's own.
func (p *pool) settings(tb testing.TB, space ports.Space, index string) config.MilvusStore {
	tb.Helper()
	cfg := settingsAt(p.address(tb))
	cfg.Index = index
	kind := space.ID() + index
	cfg.Collection = p.take(kind)
	tb.Cleanup(func() {
		if tb.Failed() {
			return
		}
		empty(tb, cfg)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free[kind] = append(p.free[kind], cfg.Collection)
	})
	return cfg
}

func (p *pool) take(kind string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == nil {
		p.free = map[string][]string{}
	}
	if names := p.free[kind]; len(names) > 0 {
		p.free[kind] = names[:len(names)-1]
		return names[len(names)-1]
	}
	name := fmt.Sprintf("imago_test_%d_%d", os.Getpid(), p.made.Add(1))
	p.all = append(p.all, name)
	return name
}

// dropAll leaves an operator's own server as it was.
func (p *pool) dropAll() {
	if p.server.Managed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	connection, err := dial(ctx, settingsAt(p.server.Address()), discard())
	if err != nil {
		return
	}
	for _, name := range p.all {
		_ = connection.(admin).DropCollection(ctx, name)
	}
	_ = connection.Close()
}

// settingsAt returns the configuration of a server, without a collection.
func settingsAt(address string) config.MilvusStore {
	cfg := config.Default().Store.Milvus
	cfg.Address = address
	cfg.ConnectTimeout = time.Minute
	return cfg
}

// empty deletes all rows of a Milvus collection.
func empty(tb testing.TB, cfg config.MilvusStore) {
	tb.Helper()
	// The test's context has ended when clean-ups run.
	ctx := context.WithoutCancel(tb.Context())
	connection := outside(tb, cfg)
	there, err := connection.HasCollection(ctx, cfg.Collection)
	require.NoError(tb, err)
	if there {
		require.NoError(tb, connection.Delete(ctx, cfg.Collection, "", idField+` >= ""`))
	}
}

// outside connects to a server beside the store, until the test ends.
func outside(tb testing.TB, cfg config.MilvusStore) sdk {
	tb.Helper()
	connection, err := dial(context.WithoutCancel(tb.Context()), cfg, discard())
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = connection.Close() })
	return connection
}

// slowed gives a driver more time for a change than in production, since several Milvuses
// share the machine.
func slowed(d *Driver) {
	d.timing.window, d.timing.lease, d.timing.cleanup = 6*claimWindow, 6*claimLease, 6*d.timing.cleanup
}

// start opens a store and closes it with the test.
func start(tb testing.TB, cfg config.MilvusStore, space ports.Space) (*store, error) {
	tb.Helper()
	s := guarded(New(cfg, space, discard()))
	slowed(s.driver)
	if err := s.Start(tb.Context()); err != nil {
		return nil, err
	}
	tb.Cleanup(func() { closeStore(tb, s) })
	return s, nil
}

func started(tb testing.TB, cfg config.MilvusStore, space ports.Space) *store {
	tb.Helper()
	s, err := start(tb, cfg, space)
	require.NoError(tb, err)
	return s
}

// fresh opens a store in an empty collection of the shared server.
func fresh(tb testing.TB, dimension int) *store {
	tb.Helper()
	space := testSpace(dimension)
	return started(tb, shared.settings(tb, space, config.IndexExact), space)
}

func closeStore(tb testing.TB, s *store) {
	tb.Helper()
	require.NoError(tb, s.Close(context.WithoutCancel(tb.Context())))
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testSpace(dimension int) ports.Space {
	return ports.Space{Model: "tiny", Digest: strings.Repeat("0f", 32), Preprocessing: "RGB", Dimension: dimension}
}

// users is the collection of the tests.
const users = "users"

// The vectors of most tests.
var (
	east  = []float32{1, 0}
	north = []float32{0, 1}
)

// store is the driver behind the guard, as it ships.
type store struct {
	*vectorstore.Store
	driver *Driver
}

// guarded puts the guard over a driver.
func guarded(d *Driver) *store { return &store{vectorstore.New("milvusstore", d, d.space), d} }

// userKey names a user of the collection of the tests.
func userKey(user string) ports.UserKey { return ports.UserKey{Collection: users, UserID: user} }

// record returns a face of the collection of the tests.
func record(user, face string, vector []float32) ports.Record {
	return ports.Record{
		Collection: users, UserID: user, FaceID: face, Vector: vector,
		Owner: "gateway", EnrolledAt: time.UnixMicro(1767225600123456).UTC(),
	}
}

func seeded(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(20260103, stream)) }

// enrol adds records many at a time.
func enrol(tb testing.TB, s *store, records []ports.Record) {
	tb.Helper()
	const callers = 64
	require.NoError(tb, errors.Join(fixture.Together(callers, func(caller int) error {
		for i := caller; i < len(records); i += callers {
			if err := s.Add(tb.Context(), records[i], ports.NewUser()); err != nil {
				return err
			}
		}
		return nil
	})...))
}

// pour inserts users with one face each, a thousand at a time and without the
// claims that keep other writers away.
func pour(tb testing.TB, s *store, records []ports.Record) {
	tb.Helper()
	connection := outside(tb, s.driver.cfg)
	for batch := range slices.Chunk(records, 1000) {
		rows := make([]row, len(batch))
		for i, r := range batch {
			rows[i] = faceRow(r, 1, true)
		}
		_, err := connection.Insert(tb.Context(), s.driver.cfg.Collection, facesPartition, columnsOf(rows, s.driver.space.Dimension)...)
		require.NoError(tb, err)
	}
}
