package e2e

import (
	"encoding/base64"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// metric returns the value of a series as /metrics writes it.
func (s *server) metric(series string) float64 {
	s.t.Helper()
	text := s.must("GET", "/metrics", "").body
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(s.t, err)
			return n
		}
	}
	s.t.Fatalf("no series %s in:\n%s", series, text)
	return 0
}

// How many people are on which list is told to keys that may read all lists and to
// the listener for operations, not to whoever reaches the API.
func TestMetricsWithoutAKeyShowNoSizes(t *testing.T) {
	t.Parallel()
	reader, readerStanza := newKey(t, "reader", "--operations", "read")
	scoped, scopedStanza := newKey(t, "scoped", "--collections", "blacklist")
	searcher, searcherStanza := newKey(t, "searcher", "--operations", "search")
	path := filepath.Join(t.TempDir(), "keys.yaml")
	writeKeys(t, path, "keys:\n"+readerStanza+scopedStanza+searcherStanza+"...\n")
	s := start(t, "IMAGO_AUTH_KEYS_FILE="+path)
	const sizes = "imago_gallery_users"
	for name, key := range map[string]string{"none": "", "wrong": "wrong", "scoped": scoped, "searcher": searcher} {
		a := s.mustAs(key, "GET", "/metrics")
		require.Equal(t, http.StatusOK, a.status, name)
		require.Contains(t, a.body, "imago_build_info", name)
		require.NotContains(t, a.body, sizes, name)
	}
	for _, key := range []string{reader, apiKey} {
		require.Contains(t, s.mustAs(key, "GET", "/metrics").body, sizes)
	}

	a := fixture.NewAuthority(t, "test authority")
	s = startTLS(t, a, t.TempDir(), nil)
	require.Contains(t, s.opsMetrics(), sizes)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := start(t)
	face := faceJSON(portrait(t))
	for _, call := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/users/search", face, 404},
		{"POST", "/users/counted-person", face, 200},
		{"POST", "/users/counted-person", face, 400},
		{"POST", "/users/search", face, 200},
		{"POST", "/users/search", face, 200},
		{"POST", "/users/blacklist/search", face, 404},
		{"POST", "/users/made-up-list/search", face, 404},
		{"POST", "/users/b", `{"face":"` + base64.StdEncoding.EncodeToString([]byte("GIF89a")) + `"}`, 400},
	} {
		require.Equal(t, call.status, s.must(call.method, call.path, call.body).status)
	}
	s.withKey("a-wrong-key-of-somebody", "DELETE", "/users/counted-person", "")
	for series, want := range map[string]float64{
		`imago_searches_total{collection="users",result="match"}`:                         2,
		`imago_searches_total{collection="users",result="no_match"}`:                      1,
		`imago_searches_total{collection="blacklist",result="no_match"}`:                  1,
		`imago_refusals_total{reason="exists"}`:                                           1,
		`imago_refusals_total{reason="image_format"}`:                                     1,
		`imago_refusals_total{reason="unauthorized"}`:                                     1,
		`imago_refusals_total{reason="no_such_list"}`:                                     1,
		`imago_refusals_total{reason="no_face"}`:                                          0,
		`imago_gallery_users{collection="users"}`:                                         1,
		`imago_store_errors_total{kind="unavailable",operation="search"}`:                 0,
		`imago_http_requests_total{method="POST",route="/users/search",status="2xx"}`:     2,
		`imago_stage_duration_seconds_count{stage="embed"}`:                               5,
		`imago_stage_duration_seconds_count{stage="store_add"}`:                           1,
		`imago_http_requests_total{method="DELETE",route="/users/{userId}",status="4xx"}`: 1,
	} {
		require.Equal(t, want, s.metric(series), series)
	}
	text := s.must("GET", "/metrics", "").body
	require.NotContains(t, text, "counted-person")
	require.NotContains(t, text, "made-up-list", "what clients make up is in no label")
}

// Under load the queue shows, what it turns away is counted, and afterwards it
// is empty.
func TestQueueMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, "IMAGO_INFERENCE_WORKERS=1", "IMAGO_INFERENCE_QUEUE=2")
	require.Equal(t, 1.0, s.metric("imago_inference_workers"))
	require.Equal(t, 2.0, s.metric("imago_inference_queue_limit"))
	body := faceJSON(portrait(t))
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = s.call(t.Context(), "POST", "/users/search", body)
				}
			}
		})
	}
	deepest := 0.0
	turnedAway := func() float64 { return s.metric(`imago_refusals_total{reason="overloaded"}`) }
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline) && (deepest < 2 || turnedAway() == 0); {
		deepest = max(deepest, s.metric("imago_inference_queue_depth"))
	}
	close(stop)
	callers.Wait()
	require.Equal(t, 2.0, deepest, "the queue was full")
	require.Positive(t, turnedAway())
	require.Zero(t, s.metric("imago_inference_queue_depth"))
	require.Zero(t, s.metric("imago_inference_working"))
}
