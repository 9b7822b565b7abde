package e2e

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// benchRuns is what `imago bench --format json` prints of its runs.
type benchRuns struct {
	Runs []struct {
		Concurrency int
		Throughput  float64
		Requests    int64
		Interrupted bool
		Unfound     int64
		Served      struct{ P50, P99 float64 }
		Operations  []struct {
			Name  string
			Count int64
		}
		Failures []struct {
			Operation, Class, Example string
		}
	}
}

// bench prepares `imago bench` against a server.
func (s *server) bench(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	args = append([]string{"bench", "--url", strings.TrimPrefix(s.url, "http://"), "--format", "json", "--warmup", "0s"}, args...)
	return command(t, "", []string{"IMAGO_API_KEY=" + apiKey}, args...)
}

func parseBench(t *testing.T, out string) (b benchRuns) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(out), &b), out)
	return b
}

// The load generator measures the real server, draws what it measured, and
// leaves nobody behind.
func TestBench(t *testing.T) {
	t.Parallel()
	s := start(t)
	require.Equal(t, 200, s.enrol("somebody", portrait(t)).status)
	chart := filepath.Join(t.TempDir(), "latency.png")
	r := finish(t, s.bench(t, "--concurrency", "1,3", "--duration", "1s", "--mix", "search=2,enrol=1,unenrol=1", "--chart", chart))
	require.Zero(t, r.code, "%s%s", r.out, r.err)
	runs := parseBench(t, r.out).Runs
	require.Len(t, runs, 2)
	for i, run := range runs {
		require.Equal(t, []int{1, 3}[i], run.Concurrency)
		require.Empty(t, run.Failures)
		require.Zero(t, run.Unfound, "somebody has that face")
		require.Positive(t, run.Served.P50)
		require.GreaterOrEqual(t, run.Served.P99, run.Served.P50)
		require.False(t, run.Interrupted)
	}
	require.Equal(t, 1.0, s.metric(`imago_gallery_users{collection="users"}`))
	drawn, err := os.ReadFile(chart)
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(drawn))
	require.NoError(t, err)
}

// Ctrl-C ends a run at once, which still reports and cleans up.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	s := start(t)
	cmd := s.bench(t, "--concurrency", "2", "--duration", "1h", "--mix", "enrol=1")
	var out bytes.Buffer
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return s.metric(`imago_gallery_users{collection="users"}`) >= 5 }, startTimeout, 20*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	require.Equal(t, 130, cmd.ProcessState.ExitCode())
	require.True(t, parseBench(t, out.String()).Runs[0].Interrupted)
	require.Zero(t, s.metric(`imago_gallery_users{collection="users"}`), "nobody is left behind")
}

// What cannot be measured is said, and pictures that are refused are counted
// with the reason.
func TestBenchSaysWhatFailed(t *testing.T) {
	t.Parallel()
	s := start(t)
	empty := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(empty, "nobody.jpg"), fixture.Landscape(t), 0o600))
	r := finish(t, s.bench(t, "--duration", "300ms", "--pictures", empty))
	require.Equal(t, 3, r.code, r.err)
	failures := parseBench(t, r.out).Runs[0].Failures
	require.Len(t, failures, 1)
	require.Equal(t, "400", failures[0].Class)
	require.Equal(t, "no face detected in the provided image", failures[0].Example)

	wrong := s.bench(t)
	wrong.Env = append(wrong.Env, "IMAGO_API_KEY=not-the-key-of-this-server")
	r = finish(t, wrong)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "does not accept the key")
	require.NotContains(t, r.err+r.out, "not-the-key")
}
