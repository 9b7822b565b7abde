package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/test/fixture"
)

// unit is docker/imago.service: the values of each key, in order.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, line := range strings.Split(read(t, "docker", "imago.service"), "\n") {
		if key, value, found := strings.Cut(line, "="); found && !strings.HasPrefix(line, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}

// systemd runs systemd-analyze and returns what it says.
func systemd(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	require.NoError(t, err, "run make deploy-tools")
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}

// systemd finds no mistake in the unit, and nearly nothing to harden.
func TestServiceIsHardened(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "imago")
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o700)) // verify looks whether it is there
	text := strings.ReplaceAll(read(t, "docker", "imago.service"), "/usr/local/bin/imago", binary)
	file := filepath.Join(t.TempDir(), "imago.service")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	out, err := systemd(t, "verify", "--man=no", file)
	require.NoError(t, err, out)
	require.NotContains(t, out, "imago.service:", "no warning")

	const most = "20" // tenths: systemd calls that safe
	out, err = systemd(t, "security", "--offline=true", "--no-pager", "--threshold="+most, file)
	require.NoError(t, err, out)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(text, "\nProtect", "\n#Protect")), 0o600))
	_, err = systemd(t, "security", "--offline=true", "--no-pager", "--threshold="+most, file)
	require.Error(t, err, "a unit that protects less is found")
}

// The unit's settings load, its files are where it says, imago stops before it is killed,
// and `imago check` in its environment finds everything that serve needs.
func TestServiceStarts(t *testing.T) {
	u, root := unit(t), t.TempDir()
	credentials, state := filepath.Join(root, "credentials"), filepath.Join(root, "state")
	require.NoError(t, os.MkdirAll(credentials, 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(state, u["StateDirectory"][0]), 0o700))
	places := strings.NewReplacer("%d", credentials, "%S", state,
		"/usr/local/lib/imago/libonnxruntime.so", fixture.ONNXRuntime(t), "/usr/local/share/imago/models", fixture.Models(t))
	var environ []string
	for _, assignment := range u["Environment"] {
		environ = append(environ, places.Replace(assignment))
	}
	cfg, err := config.Load("", environ)
	require.NoError(t, err)
	stop, err := time.ParseDuration(u["TimeoutStopSec"][0])
	require.NoError(t, err)
	require.Greater(t, stop, time.Duration(cfg.Server.Timeouts.DrainDelay+cfg.Server.Timeouts.Shutdown))

	command := strings.Fields(u["ExecStart"][0])
	require.Equal(t, []string{"/usr/local/bin/imago", "serve"}, command)
	binary := filepath.Join(root, "imago")
	require.NoError(t, fixture.Build(binary))
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env, cmd.Dir = environ, "/" // as systemd runs it
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	name, _, _ := strings.Cut(u["LoadCredential"][0], ":")
	var entry strings.Builder
	for line := range strings.Lines(run("keys", "new", "desk", "--collections", "all", "--operations", "all")) {
		if strings.HasPrefix(line, "  ") {
			entry.WriteString(line)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(credentials, name), []byte("keys:\n"+entry.String()+"...\n"), 0o400))
	run("check")
	require.NoError(t, os.Remove(filepath.Join(credentials, name)))
	cmd := exec.CommandContext(t.Context(), binary, "check")
	cmd.Env = environ
	require.Error(t, cmd.Run(), "the keys are those of the unit")
}

// calls expands a set of systemd's system calls.
func calls(t *testing.T, set string) (names []string) {
	t.Helper()
	out, err := systemd(t, "syscall-filter", "--no-pager", set)
	require.NoError(t, err, out)
	for line := range strings.Lines(out) {
		switch name := strings.TrimSpace(line); {
		case name == "" || name == set || strings.HasPrefix(name, "#"):
		case strings.HasPrefix(name, "@"):
			names = append(names, calls(t, name)...)
		default:
			names = append(names, name)
		}
	}
	return names
}

// imago serves, reads pictures and reloads with the system calls and the kinds of
// memory that the unit leaves it. ONNX Runtime needs no memory that is written and
// executed.
func TestServiceWorksConfined(t *testing.T) {
	u := unit(t)
	require.Equal(t, []string{"@system-service"}, u["SystemCallFilter"])
	require.Equal(t, []string{"yes"}, u["MemoryDenyWriteExecute"])
	allowed := strings.Join(calls(t, u["SystemCallFilter"][0]), ",")
	confine := program(t, "confine")
	out, err := exec.CommandContext(t.Context(), confine, allowed, "/usr/bin/python3", "-c", "import mmap; mmap.mmap(-1, 4096, prot=7)").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "PermissionError", "confine confines")

	dir := t.TempDir()
	binary, script := filepath.Join(dir, "imago"), filepath.Join(dir, "confined")
	require.NoError(t, fixture.Build(binary))
	require.NoError(t, os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\nexec '%s' '%s' '%s' \"$@\"\n", confine, allowed, binary), 0o700))
	const key = "a key of the test of the unit"
	imago := fixture.Serve(t, script, key, "IMAGO_STORE_MEMORY_PATH="+filepath.Join(dir, "imago.db"))
	body, err := json.Marshal(map[string][]byte{"face": fixture.ReadPortrait(t, "obama.jpg")})
	require.NoError(t, err)
	for _, path := range []string{"/users/obama", "/users/search"} {
		require.Equal(t, http.StatusOK, post(t, "http://"+imago.Address+path, key, body), path)
	}
	require.NoError(t, imago.Cmd.Process.Signal(syscall.SIGHUP))
	require.Equal(t, http.StatusOK, post(t, "http://"+imago.Address+"/users/search", key, body))
	require.NotContains(t, imago.Log.String(), `"level":"ERROR"`)
}

// post sends a picture and returns the status.
func post(t *testing.T, url, key string, body []byte) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-Api-Key", key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
