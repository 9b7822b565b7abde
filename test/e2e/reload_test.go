package e2e

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// counted returns the value of a series of the metrics of the second listener.
func (s *server) counted(series string) int {
	s.t.Helper()
	return s.valueIn(s.opsMetrics(), series)
}

// valueIn returns the value of a series.
func (s *server) valueIn(metrics, series string) int {
	s.t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\d+)$`).FindStringSubmatch(metrics)
	require.NotNil(s.t, m, series)
	n, err := strconv.Atoi(m[1])
	require.NoError(s.t, err)
	return n
}

// The ways in which a file that imago reads again goes bad while it runs. The file
// may also become unreadable, which root does not notice.
var spoilings = map[string]func(t *testing.T, path string){
	"garbage": func(t *testing.T, path string) { writeKeys(t, path, "\x00\xff garbage: [") },
	"emptied": func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) },
	"deleted": func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
	"a folder": func(t *testing.T, path string) {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Mkdir(path, 0o700))
	},
	"a pipe": func(t *testing.T, path string) {
		require.NoError(t, os.Remove(path))
		pipe(t, path)
	},
	"unreadable": func(t *testing.T, path string) {
		if os.Getuid() == 0 {
			// Root reads everything: what nobody can read is a link to itself.
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Symlink(path, path))
			return
		}
		require.NoError(t, os.Chmod(path, 0))
	},
}

// Whatever becomes of the files of keys and certificates while imago runs, what it
// had stays in use, the log says so once and a metric counts it, noticed by imago
// itself and on SIGHUP alike; and a file that is right again is used.
func TestReload(t *testing.T) {
	t.Parallel()
	key, stanza := newKey(t, "steady")
	d, a, dir := newDevice(t), fixture.NewAuthority(t, "test authority"), t.TempDir()
	d.add("first", "A256KW")
	keys := filepath.Join(dir, "keys.yaml")
	writeKeys(t, keys, "keys:\n"+stanza)
	s := startTLS(t, a, dir, []tls.Certificate{}, "IMAGO_AUTH_KEYS_FILE="+keys, "IMAGO_TOKEN_KEYS_FILE="+d.keys)
	inForce := func() {
		t.Helper()
		require.Equal(t, "first", s.served(a))
		require.Equal(t, http.StatusOK, s.mustAs(key, "GET", "/users").status)
		got := s.must("POST", "/users/search", `{"face":"`+d.seal("first")+`"}`)
		require.Equal(t, http.StatusNotFound, got.status, got.body)
	}
	inForce()
	for what, c := range map[string]struct{ path, metric, logged string }{
		"API keys":    {keys, "imago_key_reloads_total", "cannot reload API keys, keeping current ones"},
		"certificate": {filepath.Join(dir, "cert.pem"), "imago_tls_reloads_total", "cannot reload TLS certificates, keeping current ones"},
		"its key":     {filepath.Join(dir, "key.pem"), "imago_tls_reloads_total", "cannot reload TLS certificates, keeping current ones"},
		"token keys":  {d.keys, "imago_token_reloads_total", "cannot reload token keys, keeping current ones"},
	} {
		right, err := os.ReadFile(c.path)
		require.NoError(t, err)
		hup := false
		for how, spoil := range spoilings {
			hup = !hup
			failed, logged := s.counted(c.metric+`{result="error"}`), strings.Count(s.log.String(), c.logged)
			spoil(t, c.path)
			if hup {
				s.hup()
			}
			require.Eventually(t, func() bool { return s.counted(c.metric+`{result="error"}`) > failed }, startTimeout, 20*time.Millisecond, "%s: %s", what, how)
			inForce()
			most := 1
			if hup {
				most = 2 // it may have been noticed before
			}
			require.LessOrEqual(t, s.counted(c.metric+`{result="error"}`), failed+most, "%s: %s, counted once", what, how)
			require.LessOrEqual(t, strings.Count(s.log.String(), c.logged)-logged, most, "%s: %s, logged once", what, how)
			require.Greater(t, strings.Count(s.log.String(), c.logged), logged)

			worked := s.counted(c.metric + `{result="ok"}`)
			require.NoError(t, os.RemoveAll(c.path))
			writeKeys(t, c.path, string(right))
			require.Eventually(t, func() bool { return s.counted(c.metric+`{result="ok"}`) > worked }, startTimeout, 20*time.Millisecond, "%s: %s", what, how)
			inForce()
		}
	}
	require.NotContains(t, s.log.String(), "cannot reload on SIGHUP", "said by the part itself")
	require.NotContains(t, s.log.String(), "PRIVATE KEY")
}
