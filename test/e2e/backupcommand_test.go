package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// `imago backup` beside a running imago writes one encrypted file for its owner alone, tells
// what it has read back, is audited, and replaces nothing.
func TestBackupCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, copied, log := filepath.Join(dir, "imago.db"), filepath.Join(dir, "backup.db"), filepath.Join(dir, "audit.log")
	secret := make([]byte, 32)
	_, err := rand.Read(secret)
	require.NoError(t, err)
	env := []string{"IMAGO_STORE_MEMORY_PATH=" + path, "IMAGO_STORE_MEMORY_ENCRYPTION_KEY=" + base64.StdEncoding.EncodeToString(secret)}
	s := start(t, env...)
	require.Equal(t, 200, s.enrol("alice", portrait(t)).status)
	require.Equal(t, 200, s.must("POST", "/users/blacklist/bob", faceJSON(portrait(t))).status)

	run := func(env []string, args ...string) result {
		return finish(t, command(t, path, append([]string{"IMAGO_AUDIT_PATH=" + log}, env...), append([]string{"backup"}, args...)...))
	}
	r := run(env, copied, "--format", "json")
	require.Zero(t, r.code, r.err)
	require.JSONEq(t, `{"file": "`+copied+`", "faces": 2, "collections": [{"collection": "users", "users": 1, "faces": 1},
		{"collection": "blacklist", "users": 1, "faces": 1}, {"collection": "whitelist", "users": 0, "faces": 0}]}`, r.out)
	info, err := os.Stat(copied)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	_, err = os.Stat(copied + "-wal")
	require.ErrorIs(t, err, fs.ErrNotExist)

	before, err := os.ReadFile(copied)
	require.NoError(t, err)
	again := run(env, copied)
	require.Equal(t, 2, again.code)
	require.Contains(t, again.err, "a backup never replaces a file")
	after, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.Equal(t, before, after)

	other := filepath.Join(dir, "other.db")
	noKey := run(nil, other)
	require.Equal(t, 1, noKey.code)
	require.Contains(t, noKey.err, "it is encrypted with the key")
	_, err = os.Stat(other)
	require.ErrorIs(t, err, fs.ErrNotExist, "what could not be read back is no backup")

	text := run(env, other)
	require.Zero(t, text.code, text.err)
	require.Contains(t, text.out, "2 faces read back, every checksum verified")

	for _, refused := range [][]string{{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=host=/nowhere"}, {"IMAGO_STORE_DRIVER=milvus", "IMAGO_STORE_MILVUS_ADDRESS=127.0.0.1:1"}} {
		r := run(refused, filepath.Join(dir, "server.db"))
		require.Equal(t, 2, r.code)
		require.Contains(t, r.err, map[bool]string{true: "use pg_dump", false: "use milvus-backup"}[strings.HasSuffix(refused[0], "pgvector")])
	}
	require.Equal(t, 2, run(env, "-").code)

	data, err := os.ReadFile(log)
	require.NoError(t, err)
	var got []string
	for line := range strings.Lines(string(data)) {
		var entry struct {
			Phase, Operation, Collection string
			Reasons                      []string
		}
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		got = append(got, strings.Join(append([]string{entry.Phase, entry.Operation, entry.Collection}, entry.Reasons...), " "))
	}
	whole := []string{"intent backup ", "outcome backup users", "outcome backup blacklist", "outcome backup whitelist"}
	failed := []string{"intent backup ", "outcome backup  failed"}
	require.Equal(t, append(append(append(append([]string{}, whole...), failed...), failed...), whole...), got)
}
