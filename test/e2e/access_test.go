package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// problemOf is the reference's problem object for a status without reasons.
func problemOf(status int, detail string) string {
	return fmt.Sprintf(`{"status":%d,"title":"%s","detail":"%s","type":"https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/%d"}`,
		status, http.StatusText(status), detail, status)
}

// newKey runs `imago keys new` and returns the key and its stanza.
func newKey(t *testing.T, args ...string) (key, stanza string) {
	t.Helper()
	key, stanza = splitKey(t, output(t, append([]string{"keys", "new"}, args...)...))
	return key, stanza + "\n"
}

// writeKeys replaces a keys file in one step.
func writeKeys(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// as makes a request with a key and without a body. The path is sent as it is.
func (s *server) as(ctx context.Context, key, method, path string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+"/", nil)
	if err != nil {
		return answer{}, err
	}
	req.URL.Opaque = path
	if strings.HasPrefix(path, "//") {
		req.URL.Opaque, req.URL.Path, req.URL.RawPath = "", path, path
	}
	req.Header.Set("x-api-key", key)
	return s.do(req)
}

func (s *server) mustAs(key, method, path string) answer {
	s.t.Helper()
	a, err := s.as(s.t.Context(), key, method, path)
	require.NoError(s.t, err)
	return a
}

// hup tells the process to read its files again and waits until it says so.
func (s *server) hup() {
	s.t.Helper()
	const done = "files reloaded on SIGHUP"
	before := strings.Count(s.log.String(), done)
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(s.t, func() bool { return strings.Count(s.log.String(), done) > before }, startTimeout, 5*time.Millisecond)
}

// What a key may not do it may not do by any spelling of the path.
func TestScopeCannotBeEscaped(t *testing.T) {
	t.Parallel()
	key, stanza := newKey(t, "kiosk", "--operations", "read", "--collections", "whitelist")
	expired, expiredStanza := newKey(t, "old", "--expires", "2020-01-01T00:00:00Z")
	path := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, path, "keys:\n"+stanza+expiredStanza)
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+path)
	require.Equal(t, http.StatusOK, s.enrol("alice", portrait(t)).status)
	require.Equal(t, http.StatusOK, s.must("POST", "/users/blacklist/alice", faceJSON(portrait(t))).status)

	require.Equal(t, http.StatusOK, s.mustAs(key, "GET", "/users/whitelist").status, "this is what it may do")
	forbidden := problemOf(403, "The key does not permit this operation.")
	for _, c := range []struct{ method, path string }{
		{"GET", "/users"}, {"GET", "/users?list=whitelist"}, {"GET", "/users/alice"}, {"GET", "/users/blacklist/alice"},
		{"GET", "/users/blacklist"}, {"DELETE", "/users/alice"}, {"DELETE", "/users/blacklist/alice"}, {"DELETE", "/users/whitelist/alice"},
		{"POST", "/users/search"}, {"POST", "/users/whitelist/search"}, {"PUT", "/users/whitelist/alice"}, {"POST", "/users/whitelist/alice/faces"},
		{"GET", "/users/whitelist%2F..%2Fblacklist/alice"}, {"GET", "/users/blacklist%2Falice"}, {"GET", "/users/%62lacklist/alice"},
		{"DELETE", "/users/whitelist%2Falice"}, {"GET", "/users/whitelist%00/alice"}, {"GET", "/users/WHITELIST/alice"}, {"GET", "/users/Whitelist"},
		{"GET", "/users/whitelist%20/alice"}, {"GET", "/users/users/alice"},
	} {
		a := s.mustAs(key, c.method, c.path)
		require.Equal(t, http.StatusForbidden, a.status, "%s %s: %s", c.method, c.path, a.body)
		require.JSONEq(t, forbidden, a.body)
	}
	for _, c := range []struct{ method, path string }{
		{"GET", "//users/alice"}, {"GET", "/users//alice"}, {"GET", "/users/whitelist/../alice"}, {"GET", "/users/whitelist/../blacklist/alice"},
		{"DELETE", "/users/./alice"}, {"DELETE", "/users/whitelist/..//alice"}, {"GET", "/Users/alice"}, {"GET", "/users/alice/"},
		{"GET", "/users/blacklist/alice/."},
	} {
		a := s.mustAs(key, c.method, c.path)
		require.Equal(t, http.StatusNotFound, a.status, "%s %s: %s", c.method, c.path, a.body)
	}
	for _, bad := range []string{expired, "wrong", strings.ToUpper(key), key + "x"} {
		a := s.mustAs(bad, "GET", "/users/whitelist")
		require.Equal(t, http.StatusUnauthorized, a.status)
		require.JSONEq(t, problemOf(401, "A valid x-api-key header is required."), a.body)
	}
	require.Len(t, s.search(portrait(t)).matches(t), 1, "alice is still there")
}

// A client that asks too often is told when to come back, and is served then.
// Other clients do not notice.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	slow, slowStanza := newKey(t, "slow", "--rate", "2", "--burst", "4")
	free, freeStanza := newKey(t, "free", "--rate", "0")
	path := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, path, "keys:\n"+slowStanza+freeStanza)
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+path, "IMAGO_AUTH_RATE=1000")
	var refused answer
	for i := 0; refused.status == 0; i++ {
		require.Less(t, i, 500, "never refused")
		if a := s.mustAs(slow, "GET", "/users"); a.status != http.StatusOK {
			require.GreaterOrEqual(t, i, 4, "the burst")
			refused = a
		}
	}
	require.Equal(t, http.StatusTooManyRequests, refused.status)
	require.JSONEq(t, problemOf(429, "Too many requests were sent. Try again later."), refused.body)
	require.Equal(t, http.StatusOK, s.mustAs(free, "GET", "/users").status)
	require.Equal(t, http.StatusOK, s.must("GET", "/users", "").status)
	seconds, err := strconv.Atoi(refused.header.Get("Retry-After"))
	require.NoError(t, err)
	require.Equal(t, 1, seconds)
	time.Sleep(time.Duration(seconds) * time.Second) // as it was told
	require.Equal(t, http.StatusOK, s.mustAs(slow, "GET", "/users").status)
}

// Thousands of wrong keys are answered 429 and harm nobody behind the same
// address.
func TestWrongKeyFlood(t *testing.T) {
	t.Parallel()
	s := start(t)
	var flood sync.WaitGroup
	var limited, other atomic.Int64
	stop := make(chan struct{})
	for i := range 4 {
		flood.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				a, err := s.as(context.Background(), fmt.Sprintf("guess-%d-%d", i, n), "GET", "/users")
				switch {
				case err == nil && a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") == "1":
					limited.Add(1)
				case err != nil || a.status != http.StatusUnauthorized:
					other.Add(1)
				}
			}
		})
	}
	require.Eventually(t, func() bool { return limited.Load() > 500 }, startTimeout, 10*time.Millisecond)
	before := s.rss()
	for range 20 {
		require.Equal(t, http.StatusOK, s.must("GET", "/users", "").status, "the right key passes")
	}
	require.Eventually(t, func() bool { return limited.Load() > 2000 }, startTimeout, 10*time.Millisecond)
	close(stop)
	flood.Wait()
	require.Zero(t, other.Load())
	require.Less(t, s.rss()-before, int64(64<<20))
	require.Less(t, strings.Count(s.log.String(), `"status":429`), 10, "the flood does not fill the log")
	require.NotContains(t, s.log.String(), "guess-")
}

// load has clients ask without pause until the returned function is called,
// which returns how many were answered and what went wrong, if anything did.
func (s *server) load(ctx context.Context, clients int, ask func(context.Context) error) func() (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	var answered atomic.Int64
	var failed atomic.Pointer[error]
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := ask(context.WithoutCancel(ctx)); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				answered.Add(1)
			}
		})
	}
	return func() (int64, error) {
		cancel()
		all.Wait()
		if err := failed.Load(); err != nil {
			return answered.Load(), *err
		}
		return answered.Load(), nil
	}
}

// wants is an ask for load: a status for a key.
func (s *server) wants(status int, key func() string) func(context.Context) error {
	return func(ctx context.Context) error {
		a, err := s.as(ctx, key(), "GET", "/users")
		if err == nil && a.status != status {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	}
}

// Keys come and go, garbage included, and no request of a key that stays fails.
func TestKeysAreReloadedUnderLoad(t *testing.T) {
	t.Parallel()
	stays, stanza := newKey(t, "stays")
	path := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, path, "keys:\n"+stanza)
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+path)
	done := s.load(t.Context(), 4, s.wants(http.StatusOK, func() string { return stays }))
	for i := range 5 {
		comes, more := newKey(t, fmt.Sprintf("comes-%d", i))
		writeKeys(t, path, "keys:\n"+stanza+more)
		s.hup()
		require.Equal(t, http.StatusOK, s.mustAs(comes, "GET", "/users").status)
		writeKeys(t, path, "keys: [garbage")
		s.hup()
		require.Equal(t, http.StatusOK, s.mustAs(comes, "GET", "/users").status, "garbage changes nothing")
		writeKeys(t, path, "keys:\n"+stanza)
		s.hup()
		require.Equal(t, http.StatusUnauthorized, s.mustAs(comes, "GET", "/users").status)
	}
	answered, err := done()
	require.NoError(t, err)
	require.Positive(t, answered)
	require.Contains(t, s.must("GET", "/metrics", "").body, `imago_key_reloads_total{result="error"}`)
	require.NotContains(t, s.log.String(), stays)
}

// A keys file that says less than it should never gives more: at a start it is
// refused, and later the current keys stay, with an error that is logged and
// counted. The file is tried cut short at every line, and with scopes that are
// empty, null or not there.
func TestKeysFileFailsClosed(t *testing.T) {
	t.Parallel()
	kiosk, kioskStanza := newKey(t, "kiosk", "--operations", "read", "--collections", "whitelist", "--expires", "2099-01-01T00:00:00Z", "--rate", "1000")
	desk, deskStanza := newKey(t, "desk", "--operations", "read", "--collections", "whitelist")
	whole := "keys:\n" + deskStanza + kioskStanza + "...\n"
	path := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, path, whole)
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+path)
	failures := func() int {
		return s.valueIn(s.must("GET", "/metrics", "").body, `imago_key_reloads_total{result="error"}`)
	}
	bad := []string{
		strings.ReplaceAll(whole, "operations: [read]", "operations: []"), strings.ReplaceAll(whole, "operations: [read]", "operations:"),
		strings.ReplaceAll(whole, "collections: [whitelist]", "collections: []"), strings.ReplaceAll(whole, "collections: [whitelist]", "collections: ~"),
		strings.ReplaceAll(whole, "    operations: [read]\n", ""), strings.ReplaceAll(whole, "    collections: [whitelist]\n", ""),
	}
	for cut := range whole {
		if whole[cut] == '\n' {
			bad = append(bad, whole[:cut], whole[:cut+1])
		}
	}
	bad = bad[:len(bad)-2] // the whole, and the whole without its last line break
	for _, text := range bad {
		require.NotEqual(t, whole, text)
		failed, logged := failures(), strings.Count(s.log.String(), "cannot reload API keys, keeping current ones")
		writeKeys(t, path, text)
		s.hup()
		require.Greater(t, failures(), failed, text)
		require.Greater(t, strings.Count(s.log.String(), "cannot reload API keys, keeping current ones"), logged, text)
		for _, key := range []string{kiosk, desk} {
			require.Equal(t, http.StatusOK, s.mustAs(key, "GET", "/users/whitelist").status, text)
			require.Equal(t, http.StatusForbidden, s.mustAs(key, "GET", "/users").status, text)
			require.Equal(t, http.StatusForbidden, s.mustAs(key, "DELETE", "/users/whitelist/nobody").status, text)
		}
	}
	require.NotContains(t, s.log.String(), strings.Repeat("a", 64))
	for _, text := range bad[:6] {
		writeKeys(t, path, text)
		r := finish(t, command(t, "", []string{"IMAGO_AUTH_KEYS_FILE=" + path}, "keys", "list"))
		require.Equal(t, 2, r.code, text)
		require.Contains(t, r.err, "[all] for everything")
	}
}

// A variable that is not set makes no key with full access.
func TestKeysNewRefusesEmptyFlags(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--operations", "--collections", "--expires", "--rate", "--burst"} {
		r := finish(t, command(t, "", nil, "keys", "new", "kiosk", flag, ""))
		require.Equal(t, 2, r.code, flag)
		require.NotContains(t, r.out, "imago_", flag)
	}
	require.Contains(t, output(t, "keys", "new", "gateway"), "    collections: [all]\n    operations: [all]", "full access is said")
}

func TestKeysAreListed(t *testing.T) {
	t.Parallel()
	key, stanza := newKey(t, "kiosk", "--operations", "search", "--rate", "5")
	path := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, path, "keys:\n"+stanza)
	config := filepath.Join(t.TempDir(), "imago.yaml")
	require.NoError(t, os.WriteFile(config, []byte("auth: {keys_file: "+path+"}\n"), 0o600))
	out := output(t, "keys", "list", "--config", config)
	require.Regexp(t, `(?m)^kiosk +[0-9a-f]{8} +all +search +5/s +never$`, out)
	require.NotContains(t, out, key)
}
