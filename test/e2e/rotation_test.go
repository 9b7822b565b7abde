package e2e

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A client changes its key while it calls without a pause, as adapters/httpapi/README.md
// says: it never gets 401, keeps what it enrolled, and the old key ends.
func TestKeyRotationUnderTraffic(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.yaml")
	oldKey, stanza := newKey(t, "desk", "--collections", "blacklist")
	writeKeys(t, path, "keys:\n"+stanza+"...\n")
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+path)
	require.Equal(t, http.StatusOK, s.mustAs(oldKey, "GET", "/users/blacklist").status)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/users/blacklist/case-17", strings.NewReader(faceJSON(portrait(t))))
	require.NoError(t, err)
	req.Header.Set("x-api-key", oldKey)
	req.Header.Set("Content-Type", "application/json")
	enrolled, err := s.do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, enrolled.status, enrolled.body)

	current := oldKey
	var using sync.RWMutex // a key is removed when no call with it is under way
	var calls, refused atomic.Int64
	var clients sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				using.RLock()
				a, err := s.as(t.Context(), current, "GET", "/users/blacklist/case-17")
				using.RUnlock()
				if err != nil || a.status != http.StatusOK {
					refused.Add(1)
				}
				calls.Add(1)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	more := func() {
		t.Helper()
		from := calls.Load()
		require.Eventually(t, func() bool { return calls.Load() > from+50 }, startTimeout, 20*time.Millisecond)
	}

	more()
	r := finish(t, command(t, "", []string{"IMAGO_AUTH_KEYS_FILE=" + path}, "keys", "new", "desk", "--add"))
	require.Zero(t, r.code, r.err)
	fresh, both := splitKey(t, r.out)
	writeKeys(t, path, "keys:\n"+both+"...\n")
	s.hup()
	more()
	require.Equal(t, http.StatusOK, s.mustAs(oldKey, "GET", "/users/blacklist/case-17").status, "both work")
	using.Lock()
	current = fresh
	using.Unlock()
	more()
	oldHash := regexp.MustCompile(`(?m)^    sha256: ([0-9a-f]{64})$`).FindStringSubmatch(stanza)
	require.NotNil(t, oldHash, stanza)
	without := strings.Replace(both, "      - "+oldHash[1]+"\n", "", 1)
	require.NotEqual(t, both, without)
	writeKeys(t, path, "keys:\n"+without+"...\n")
	s.hup()
	more()
	close(done)
	clients.Wait()
	require.Zero(t, refused.Load(), "of %d calls", calls.Load())
	require.Equal(t, http.StatusUnauthorized, s.mustAs(oldKey, "GET", "/users/blacklist/case-17").status)
	require.Equal(t, http.StatusOK, s.mustAs(fresh, "DELETE", "/users/blacklist/case-17").status, "it still owns what it enrolled")
}
