package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"imago/test/servers"
)

// network is the way from imago to a server, which can be disturbed.
type network struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

func newNetwork(t testing.TB, server string) *network {
	t.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n := &network{t, toxiproxy.NewProxy(api, "network", "127.0.0.1:0", server)}
	require.NoError(t, n.proxy.Start())
	t.Cleanup(n.proxy.Stop)
	return n
}

// address is where imago finds the server.
func (n *network) address() string { return n.proxy.Listen }

// disturb has the network be faulty while f runs.
func (n *network) disturb(f fault, during func()) {
	n.t.Helper()
	for i, toxic := range f.toxics {
		_, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":"%d",%s}`, i, toxic)))
		require.NoError(n.t, err)
	}
	during()
	reset := make(chan struct{})
	go func() {
		n.proxy.Toxics.ResetToxics(context.WithoutCancel(n.t.Context()))
		close(reset)
	}()
	select {
	case <-reset:
	case <-time.After(startTimeout):
		n.t.Fatal("the network does not become as it was")
	}
}

// A fault is how a network can be disturbed.
type fault struct {
	name   string
	toxics []string
	// unready says that no call can succeed meanwhile, which imago must notice.
	unready bool
}

// both disturbs what goes to the server and what comes back.
func both(toxic string) []string {
	return []string{`"stream":"upstream",` + toxic, `"stream":"downstream",` + toxic}
}

var faults = []fault{
	{"delays", both(`"type":"latency","attributes":{"latency":150,"jitter":100}`), false},
	{"swallows everything", both(`"type":"timeout","attributes":{"timeout":0}`), true},
	{"swallows answers", both(`"type":"timeout","attributes":{"timeout":0}`)[1:], true},
	{"resets connections", both(`"type":"reset_peer","attributes":{"timeout":20}`), true},
	{"truncates answers", both(`"type":"limit_data","attributes":{"bytes":700}`)[1:], false},
	{"truncates requests", both(`"type":"limit_data","attributes":{"bytes":2000}`)[:1], false},
	{"trickles", both(`"type":"bandwidth","attributes":{"rate":4}`), false},
	{"cuts into small pieces", both(`"type":"slicer","attributes":{"average_size":32,"size_variation":16,"delay":100}`), false},
}

// Through every fault of the network to PostgreSQL imago answers in bounded time
// and with the right status, no change is made twice or half, readiness tells the
// truth, and all is well again by itself.
func TestFaultyNetworkToPGVector(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	dsn, err := url.Parse(pg.DSN())
	require.NoError(t, err)
	n := newNetwork(t, dsn.Host)
	dsn.Host = n.address()
	surviveFaults(t, n, newTorture(t, 5*time.Second, "IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN="+dsn.String()))
}

// The same for Milvus.
func TestFaultyNetworkToMilvus(t *testing.T) {
	t.Parallel()
	milvus := servers.OwnMilvus(t, servers.MilvusOptions{})
	n := newNetwork(t, milvus.Address())
	surviveFaults(t, n, newTorture(t, 15*time.Second, "IMAGO_STORE_DRIVER=milvus", "IMAGO_STORE_MILVUS_ADDRESS="+n.address()))
}

func surviveFaults(t *testing.T, n *network, x *torture) {
	t.Helper()
	s := start(t, append(x.env, "IMAGO_SERVER_TIMEOUTS_REQUEST=5s")...)
	random := rand.New(rand.NewPCG(6, 4))
	for _, f := range faults {
		x.run(s, random, func() {
			n.disturb(f, func() {
				if f.unready {
					awaitUnready(t, s, f.name)
				}
				time.Sleep(time.Second)
			})
			s.waitReady()
		})
		longest := x.longest()
		t.Logf("%s: the longest call took %v", f.name, longest)
		require.Less(t, longest, 30*time.Second, "a request may take 5 seconds, and a busy machine more")
	}
	x.finish(s, fmt.Sprintf("%d faults of the network", len(faults)))
}

// awaitUnready waits until /readyz says that imago cannot serve.
func awaitUnready(t testing.TB, s *server, why string) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if s.must("GET", "/readyz", "").status == http.StatusServiceUnavailable {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("imago claims to be ready although the network %s", why)
}
