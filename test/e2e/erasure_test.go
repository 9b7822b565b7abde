package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
	"imago/test/servers"
)

// erasureBound is what adapters/memstore/README.md promises: how long after an unenrolment
// something of the template may be in the store's files.
const erasureBound = 20 * time.Second

// traceBytes is how many bytes of a template are looked for at a time: four
// numbers, which do not occur by chance.
const traceBytes = 16

// templates returns the bytes of the templates of a store that is not in use, by
// user.
func templates(t *testing.T, path string, env ...string) map[string][]byte {
	t.Helper()
	r := finish(t, command(t, path, env, "export"))
	require.Zero(t, r.code, r.err)
	all := map[string][]byte{}
	for line := range strings.Lines(r.out) {
		var face struct{ UserID, Vector string }
		require.NoError(t, json.Unmarshal([]byte(line), &face))
		if face.UserID != "" {
			vector, err := base64.StdEncoding.DecodeString(face.Vector)
			require.NoError(t, err)
			all[face.UserID] = vector
		}
	}
	return all
}

// traced reports whether any part of a template is in the files of a store.
func traced(t *testing.T, path string, template []byte) bool {
	t.Helper()
	require.NotEmpty(t, template)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		data, err := os.ReadFile(path + suffix)
		if errors.Is(err, fs.ErrNotExist) && suffix != "" {
			continue
		}
		require.NoError(t, err)
		for at := 0; at+traceBytes <= len(template); at += traceBytes {
			if bytes.Contains(data, template[at:at+traceBytes]) {
				return true
			}
		}
	}
	return false
}

// Soon after an unenrolment no part of the template is in any file of the store
// of a running imago, and the other user's is untouched.
func TestUnenrolErases(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "imago.db")
	env := "IMAGO_STORE_MEMORY_PATH=" + path
	s := start(t, env)
	require.Equal(t, http.StatusOK, s.enrol("kept", fixture.ReadPortrait(t, "obama.jpg")).status)
	require.Equal(t, http.StatusOK, s.enrol("gone", portrait(t)).status)
	s.stop()
	all := templates(t, path)
	s = start(t, env)
	require.True(t, traced(t, path, all["gone"]), "the test does not see what is there")

	require.Equal(t, http.StatusOK, s.unenrol("gone").status)
	began := time.Now()
	for traced(t, path, all["gone"]) {
		require.Less(t, time.Since(began), erasureBound)
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("nothing of the template was left after %s", time.Since(began).Round(100*time.Millisecond))
	require.True(t, traced(t, path, all["kept"]))
	require.Equal(t, http.StatusNotFound, s.search(portrait(t)).status)
}

// replicaErasureBound is how long after an unenrolment, through whatever imago, something of
// the template may be in the memory of another that does nothing.
const replicaErasureBound = 20 * time.Second

// An imago that does nothing keeps no copy of those who were unenrolled through another one:
// neither those that it has read at its start, nor those that were enrolled later.
func TestUnenrolErasesTheMemoryOfOthers(t *testing.T) {
	t.Parallel()
	pg := servers.Postgres(t)
	env := []string{"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN=" + pg.DSN()}
	busy := start(t, env...)
	require.Equal(t, http.StatusOK, busy.enrol("kept", fixture.ReadPortrait(t, "obama.jpg")).status)
	require.Equal(t, http.StatusOK, busy.enrol("read", portrait(t)).status)
	idle := start(t, env...)
	require.Equal(t, http.StatusOK, busy.enrol("followed", fixture.ReadPortrait(t, "biden.jpg")).status)
	all := templates(t, "", env...)
	require.Len(t, all, 3)
	for user, template := range all {
		fixture.Until(t, "the template of "+user+" is in memory", func() bool { return remembered(t, idle, template) })
	}
	for _, user := range []string{"followed", "read"} {
		require.Equal(t, http.StatusOK, busy.unenrol(user).status)
		began := time.Now()
		for remembered(t, idle, all[user]) {
			require.Less(t, time.Since(began), replicaErasureBound, user)
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("nothing of %s was left after %s", user, time.Since(began).Round(100*time.Millisecond))
	}
	require.True(t, remembered(t, idle, all["kept"]))
}

// remembered reports whether any part of a template is in the memory of a process, as it is
// kept or as it comes from PostgreSQL.
func remembered(t *testing.T, s *server, template []byte) bool {
	t.Helper()
	var parts [][]byte
	for at := 0; at+traceBytes <= len(template); at += traceBytes {
		received := slices.Clone(template[at : at+traceBytes])
		for i := 0; i < traceBytes; i += 4 {
			slices.Reverse(received[i : i+4])
		}
		parts = append(parts, template[at:at+traceBytes], received)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", s.cmd.Process.Pid))
	require.NoError(t, err)
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", s.cmd.Process.Pid))
	require.NoError(t, err)
	defer memory.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var rights string
		_, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights)
		require.NoError(t, err, line)
		if rights != "rw-p" {
			continue
		}
		// Pages come and go while this looks; what cannot be read is not there.
		const piece = 1 << 20
		data := make([]byte, piece+traceBytes)
		for at := from; at < to; at += piece {
			n, _ := memory.ReadAt(data[:min(uint64(len(data)), to-at)], int64(at))
			for _, part := range parts {
				if bytes.Contains(data[:n], part) {
					return true
				}
			}
		}
	}
	return false
}

// With a key no template is in the files at any time, and without it nothing
// opens them.
func TestEncryptionAtRest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "imago.db")
	env := "IMAGO_STORE_MEMORY_PATH=" + path
	secret := make([]byte, 32)
	_, err := rand.Read(secret)
	require.NoError(t, err)
	key := "IMAGO_STORE_MEMORY_ENCRYPTION_KEY=" + base64.StdEncoding.EncodeToString(secret)
	s := start(t, env, key)
	require.Equal(t, http.StatusOK, s.enrol("amy", portrait(t)).status)
	s.kill()
	left, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	require.NotEmpty(t, left, "the log of the crash is looked at too")
	inUse := t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(inUse, "imago.db"+suffix), data, 0o600))
	}
	amy := templates(t, path, key)["amy"]
	require.False(t, traced(t, filepath.Join(inUse, "imago.db"), amy))
	require.False(t, traced(t, path, amy))

	require.Contains(t, refusesToStart(t, env), "it is encrypted with the key")
	s = start(t, env, key)
	require.Equal(t, "amy", s.search(portrait(t)).matches(t)[0].UserID)
	require.NotContains(t, s.log.String(), base64.StdEncoding.EncodeToString(secret))
	s.stop()

	// A new key, from a file, in front of the old one.
	newest := make([]byte, 32)
	_, err = rand.Read(newest)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "imago.key")
	lines := base64.StdEncoding.EncodeToString(newest) + " # new\n" + base64.StdEncoding.EncodeToString(secret) + "\n"
	require.NoError(t, os.WriteFile(file, []byte(lines), 0o600))
	start(t, env, "IMAGO_STORE_MEMORY_ENCRYPTION_KEY_FILE="+file).stop()
	require.Contains(t, refusesToStart(t, env, key), "it is encrypted with the key")
	require.NoError(t, os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(newest)), 0o600))
	s = start(t, env, "IMAGO_STORE_MEMORY_ENCRYPTION_KEY_FILE="+file)
	require.Equal(t, "amy", s.search(portrait(t)).matches(t)[0].UserID)
}
