package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/servers"
)

// An outage of the store is two lines in the log, however many requests and probes fail meanwhile:
// one error when it is lost, which every level of the log shows, and one when it is back.
func TestAnOutageIsTwoEvents(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	s := start(t, "IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN="+strings.Replace(pg.DSN(), "disable", "prefer", 1))
	s.enrol("a", portrait(t))
	pg.Kill()
	const failures = 30
	for range failures {
		require.Equal(t, http.StatusServiceUnavailable, s.search(portrait(t)).status)
		require.Equal(t, http.StatusServiceUnavailable, s.must("GET", "/readyz", "").status)
	}
	require.NoError(t, pg.Restart())
	s.waitReady()
	require.Equal(t, http.StatusOK, s.search(portrait(t)).status, "what was acknowledged is there")
	back := regexp.MustCompile(`"level":"INFO","msg":"store back","component":"pgstore","duration_ms":\d+,"failures":[6-9]\d`)
	require.Eventually(t, func() bool {
		s.must("GET", "/readyz", "")
		return back.MatchString(s.log.String())
	}, startTimeout, 50*time.Millisecond)
	s.stop()
	log := s.log.String()
	require.Equal(t, 1, strings.Count(log, `"msg":"store lost"`), log)
	require.Equal(t, 1, strings.Count(log, `"level":"ERROR"`), log)
	require.NotContains(t, log, `"level":"WARN","msg":"request failed"`)
	require.NotContains(t, log, "readiness check failed")
	require.Regexp(t, `"msg":"store lost","component":"pgstore","call":"\w+","error":"pgstore: .*","action":"requests are answered 503 until`, log)
}
