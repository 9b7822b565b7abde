package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// erasureBound is what the README promises: how long after an unenrolment
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
