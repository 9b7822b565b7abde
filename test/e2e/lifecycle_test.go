package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// line returns the one line of the log with a message, which may be about to be written.
func (s *server) line(message string) map[string]any {
	s.t.Helper()
	var found []map[string]any
	fixture.Until(s.t, "the log has the line "+message, func() bool {
		found = nil
		for text := range strings.Lines(s.log.String()) {
			var line map[string]any
			if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == message {
				found = append(found, line)
			}
		}
		return len(found) > 0
	})
	require.Len(s.t, found, 1, "%s\n%s", message, s.log)
	return found[0]
}

// The log has one line that says with what imago serves, and the last line says why and after how long it stopped, and how many
// requests that cut off.
func TestStartAndStopAreLogged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "imago.yaml")
	require.NoError(t, os.WriteFile(file, []byte("audit: {path: audit.log}\n"), 0o600))
	s := start(t, "IMAGO_CONFIG="+file, "IMAGO_STORE_MEMORY_PATH="+filepath.Join(dir, "sub", "imago.db"), "IMAGO_SERVER_TIMEOUTS_SHUTDOWN=0s")
	require.FileExists(t, filepath.Join(dir, "audit.log"), "beside the configuration file")
	got := s.line("started")
	require.Equal(t, "serve", got["component"])
	require.NotEmpty(t, got["version"])
	require.Equal(t, file, got["config"])
	require.Equal(t, strings.TrimPrefix(s.url, "http://"), got["listen"])
	require.Equal(t, []any{"users", "blacklist", "whitelist"}, got["collections"])
	require.Equal(t, "opencv-yunet", got["detector"])
	require.Equal(t, "opencv-sface", got["embedder"])
	require.Equal(t, "memory, "+filepath.Join(dir, "sub", "imago.db"), got["store"])
	require.Equal(t, filepath.Join(dir, "audit.log"), got["audit"])
	for _, key := range []string{"tls", "tokens"} {
		require.Equal(t, "off", got[key])
	}
	// A request in progress: its body never ends.
	conn, err := new(net.Dialer).DialContext(context.WithoutCancel(t.Context()), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("POST /users/search HTTP/1.1\r\nHost: imago\r\nx-api-key: " + apiKey + "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"))
	require.NoError(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", answer, "the body is being read")
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	<-s.exited
	stopped := s.line("stopped")
	require.Equal(t, "interrupted by a signal: terminated", stopped["reason"])
	require.EqualValues(t, 1, stopped["requests_cut_off"])
	require.Contains(t, stopped, "uptime_seconds")
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	require.Contains(t, lines[len(lines)-1], `"msg":"stopped"`, "the last line")
}

// A gallery that lies where an earlier imago looked for it, in the working directory, is
// not forgotten for an empty one.
func TestStoreInTheWorkingDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "imago.yaml")
	require.NoError(t, os.WriteFile(file, []byte("store: {memory: {path: imago.db}}\n"), 0o600))
	for _, args := range [][]string{{"serve"}, {"check"}, {"import", "gallery.jsonl"}, {"backup", "backup.db"}} {
		cmd := command(t, "", pipelineEnvironment(t), append(args, "--config", file)...)
		cmd.Env = append(without(cmd.Env, "IMAGO_STORE_MEMORY_PATH="), "IMAGO_API_KEY="+apiKey)
		require.NoError(t, os.WriteFile(filepath.Join(cmd.Dir, "imago.db"), nil, 0o600))
		r := finish(t, cmd)
		require.Equal(t, 2, r.code, r.err)
		require.Contains(t, r.err, "store.memory.path: is relative to the configuration file, where there is nothing, but the working directory has it", args)
		require.NoFileExists(t, filepath.Join(filepath.Dir(file), "imago.db"))
	}
}
