package loadgen

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gallery is a server with imago's manners and no faces.
type gallery struct {
	*httptest.Server
	mu    sync.Mutex
	calls int
	users map[string]bool
	// before is asked of each call, by its number; when it returns true it has
	// answered, or broken the connection.
	before func(call int, w http.ResponseWriter, r *http.Request) bool
	// after is the same once the call has been done.
	after func(call int, w http.ResponseWriter, r *http.Request) bool
}

func newGallery(t *testing.T) *gallery {
	t.Helper()
	g := &gallery{users: map[string]bool{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gallery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.calls++
	call := g.calls
	g.mu.Unlock()
	if g.before != nil && g.before(call, w, r) {
		return
	}
	problem := g.change(r)
	if g.after != nil && g.after(call, w, r) {
		return
	}
	if problem != 0 {
		refuse(w, problem, reasonExists)
	}
}

func (g *gallery) change(r *http.Request) (problem int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := strings.TrimPrefix(r.URL.Path, "/users/")
	switch {
	case id == "search":
	case r.Method == http.MethodDelete && !g.users[id]:
		return http.StatusNotFound
	case r.Method == http.MethodDelete:
		delete(g.users, id)
	case g.users[id]:
		return http.StatusBadRequest
	default:
		g.users[id] = true
	}
	return 0
}

func (g *gallery) enrolled() (ids []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.users {
		ids = append(ids, id)
	}
	return ids
}

func (g *gallery) options(t *testing.T) Options {
	t.Helper()
	target, err := ParseTarget(g.URL)
	require.NoError(t, err)
	return Options{Target: target, Key: "a-key", Users: 50, Timeout: 10 * time.Second}
}

func generator(t *testing.T, o Options) *Generator {
	t.Helper()
	g, err := New(o)
	require.NoError(t, err)
	return g
}

// refuse answers like imago.
func refuse(w http.ResponseWriter, status int, reason string) bool {
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"detail":"Something.","errors":["` + reason + `"]}`))
	return true
}

// short is a load of a mix for a moment.
func short(t *testing.T, mix string) Load {
	t.Helper()
	m, err := ParseMix(mix)
	require.NoError(t, err)
	return Load{Concurrency: 4, Mix: m, Duration: 2 * time.Second}
}
