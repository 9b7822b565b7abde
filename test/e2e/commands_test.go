package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// told is what the audit log says of a run of a command.
type told struct {
	phase, operation, collection string
	faces                        int
	reason                       string
}

// commandTrail reads an audit log that only commands have written, and checks what all
// of its lines have in common.
func commandTrail(t *testing.T, path string) (all []told) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var one trail
		require.NoError(t, json.Unmarshal([]byte(line), &one), line)
		require.NotEmpty(t, one.RequestID)
		require.Regexp(t, `^account:.`, one.Client)
		require.Equal(t, "command line", one.Address)
		require.Empty(t, one.UserID)
		all = append(all, told{one.Phase, one.Operation, one.Collection, one.Faces, strings.Join(one.Reasons, " ")})
	}
	return all
}

// Commands that write or reveal templates are in the audit log: who, when, what
// and how many.
func TestCommandsAreAudited(t *testing.T) {
	t.Parallel()
	path, copied, log, dir := database(t, false), database(t, false), filepath.Join(t.TempDir(), "audit.log"), t.TempDir()
	for _, name := range []string{"obama.jpg", "biden.jpg"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), fixture.ReadPortrait(t, name), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nobody.jpg"), []byte("no picture"), 0o600))
	env := append(pipelineEnvironment(t), "IMAGO_AUDIT_PATH="+log, "IMAGO_AUDIT_SYNC=true", "IMAGO_AUDIT_REQUIRED=true")
	export := filepath.Join(t.TempDir(), "gallery.jsonl")
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"enroll", dir}, 3},
		{[]string{"export", export}, 0},
		{[]string{"import", export}, 0},
		{[]string{"migrate", "--from", memoryYAML(t, path), "--to", memoryYAML(t, copied)}, 0},
	} {
		store := path
		if c.args[0] == "migrate" {
			store = ""
		}
		cmd := command(t, store, env, c.args...)
		if store == "" {
			cmd.Env = without(cmd.Env, "IMAGO_STORE_MEMORY_PATH=")
		}
		r := finish(t, cmd)
		require.Equal(t, c.code, r.code, "%v: %s", c.args, r.err)
	}
	require.Equal(t, []told{
		{"intent", "enroll", "users", 0, ""},
		{"outcome", "enroll", "users", 2, "partial"},
		{"intent", "export", "", 0, ""},
		{"outcome", "export", "users", 2, ""},
		{"outcome", "export", "blacklist", 0, ""},
		{"outcome", "export", "whitelist", 0, ""},
		{"intent", "import", "", 0, ""},
		{"outcome", "import", "users", 0, ""},
		{"outcome", "import", "blacklist", 0, ""},
		{"outcome", "import", "whitelist", 0, ""},
		{"intent", "migrate_out", "", 0, ""},
		{"intent", "migrate_in", "", 0, ""},
		{"outcome", "migrate_out", "users", 2, ""},
		{"outcome", "migrate_out", "blacklist", 0, ""},
		{"outcome", "migrate_out", "whitelist", 0, ""},
		{"outcome", "migrate_in", "users", 2, ""},
		{"outcome", "migrate_in", "blacklist", 0, ""},
		{"outcome", "migrate_in", "whitelist", 0, ""},
	}, commandTrail(t, log))
}

// without returns an environment without what begins so.
func without(environ []string, prefix string) (rest []string) {
	for _, entry := range environ {
		if !strings.HasPrefix(entry, prefix) {
			rest = append(rest, entry)
		}
	}
	return rest
}

// Where everything must be on record, nothing is revealed without its line;
// elsewhere there is a warning. A log on standard output keeps off the results.
func TestCommandsWithoutAnAuditLog(t *testing.T) {
	t.Parallel()
	path := database(t, false)
	done(t, path, "import", write(t, generated(t, 3)))
	full := finish(t, command(t, path, []string{"IMAGO_AUDIT_PATH=/dev/full", "IMAGO_AUDIT_REQUIRED=true"}, "export"))
	require.Equal(t, 1, full.code)
	require.Empty(t, full.out)
	require.Contains(t, full.err, "nothing was done: audit.required is set")
	warned := finish(t, command(t, path, []string{"IMAGO_AUDIT_PATH=/dev/full"}, "export"))
	require.Zero(t, warned.code, warned.err)
	require.Contains(t, warned.err, "warning: cannot write audit entry")
	require.Equal(t, exported(t, path), warned.out)
	standard := finish(t, command(t, path, []string{"IMAGO_AUDIT_PATH=-"}, "export"))
	require.Zero(t, standard.code)
	require.Equal(t, warned.out, standard.out)
	require.Contains(t, standard.err, `"operation":"export"`)
}

// `imago check` says what `imago serve` would, of every part at once, and leaves
// the store of a running imago alone.
func TestCheck(t *testing.T) {
	t.Parallel()
	path := database(t, false)
	s := start(t, "IMAGO_STORE_MEMORY_PATH="+path)
	require.Equal(t, 200, s.enrol("somebody", portrait(t)).status)
	env := append(pipelineEnvironment(t), "IMAGO_API_KEY="+apiKey)
	r := finish(t, command(t, path, env, "check"))
	require.Zero(t, r.code, "%s%s", r.out, r.err)
	require.Contains(t, r.out, "store: ok: memory, 1 faces in "+path)
	require.Contains(t, r.out, "inference: ok: ONNX Runtime 1.")
	require.Contains(t, r.out, "models: ok: opencv-yunet and opencv-sface")
	for _, part := range []string{"server.tls", "token", "auth.rate", "server.ops_listen", "store.memory.encryption", "audit", "tracing"} {
		require.Contains(t, r.out, part+": ok: off\n")
	}
	require.Contains(t, r.out, "auth: ok: IMAGO_API_KEY alone\n")
	r = finish(t, command(t, path, append(env, "IMAGO_AUTH_RATE=5", "IMAGO_AUDIT_PATH="+path+".audit", "OTEL_EXPORTER_OTLP_ENDPOINT=http://someone:secret@127.0.0.1:1"), "check"))
	require.Contains(t, r.out, "auth.rate: ok: 5/s\n")
	require.Contains(t, r.out, "audit: ok: "+path+".audit\n")
	require.Contains(t, r.out, "tracing: ok: on\n")
	require.NotContains(t, r.out+r.err, "secret")
	require.Equal(t, 200, s.enrol("somebody-else", portrait(t)).status)
	s.stop()

	damaged := database(t, false)
	require.NoError(t, os.WriteFile(damaged, nil, 0o600))
	require.NoError(t, os.Link(path+".commits", damaged+".commits"))
	r = finish(t, command(t, damaged, env, "check"))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.out, "it is empty or missing, although it had 2 commits")

	fresh := database(t, false)
	r = finish(t, command(t, fresh, env, "check"))
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.out, "is to be made")
	require.NoFileExists(t, fresh)

	keys := filepath.Join(t.TempDir(), "keys.yaml")
	require.NoError(t, os.WriteFile(keys, []byte("garbage"), 0o600))
	r = finish(t, command(t, path, append(env, "IMAGO_AUTH_KEYS_FILE="+keys, "IMAGO_MODELS_DIR="+t.TempDir()), "check", "--format", "json"))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "2 of 7 parts failed")
	var parts []struct {
		Part string
		OK   bool
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &parts))
	failed := []string{}
	for _, p := range parts {
		if !p.OK {
			failed = append(failed, p.Part)
		}
	}
	require.Equal(t, []string{"auth", "models"}, failed)

	r = finish(t, command(t, path, append(env, "IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=postgres://nobody@127.0.0.1:1/none"), "check"))
	require.Equal(t, 4, r.code, "%s%s", r.out, r.err)
	require.Equal(t, 2, finish(t, command(t, path, append(env, "IMAGO_LOG_LEVEL=loud"), "check")).code)
}

// `imago serve` that is told to stop has done what it was asked for, from the moment
// in which it listens.
func TestServeEndsWell(t *testing.T) {
	t.Parallel()
	for range 4 {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			s := launch(t)
			require.NoError(t, s.cmd.Process.Signal(signal))
			<-s.exited
			require.Zero(t, s.cmd.ProcessState.ExitCode(), s.log.String())
		}
	}
}
