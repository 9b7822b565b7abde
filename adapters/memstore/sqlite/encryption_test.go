package sqlite

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/config/encryptionkey"
	"imago/ports"
)

// withKeys returns settings with keys by number, the first of which encrypts.
func withKeys(numbers ...byte) config.Encryption {
	var text []string
	for _, n := range numbers {
		text = append(text, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, len(encryptionkey.Key{}))))
	}
	return config.Encryption{Key: config.Secret(strings.Join(text, " "))}
}

func nameOfKey(t *testing.T, number byte) string {
	t.Helper()
	k, err := newKey(bytes.Repeat([]byte{number}, len(encryptionkey.Key{})))
	require.NoError(t, err)
	return k.name()
}

// opening opens a file with settings for encryption and closes it at the end of
// the test.
func opening(t *testing.T, path string, e config.Encryption) (*store, error) {
	t.Helper()
	s := configured(config.MemoryStore{Path: path, Encryption: e}, testSpace(128), discard())
	t.Cleanup(func() { closeStore(t, s) })
	return s, s.Start(t.Context())
}

// filled returns the path of a file with records that was closed, and the
// records.
func filled(t *testing.T, n int, e config.Encryption) (string, []ports.Record) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "imago.db")
	s, err := opening(t, path, e)
	require.NoError(t, err)
	records := crowd(n, 128)
	enrol(t, s, records)
	closeStore(t, s)
	return path, records
}

// requireKept checks that a file opens with settings and has the records, and
// closes it again.
func requireKept(t *testing.T, path string, e config.Encryption, records []ports.Record) {
	t.Helper()
	s, err := opening(t, path, e)
	require.NoError(t, err)
	require.Equal(t, records, contents(t, s))
	closeStore(t, s)
}

// tracesAtRest is traces of a file that is closed.
func tracesAtRest(t *testing.T, path string, records []ports.Record) int {
	t.Helper()
	for _, suffix := range []string{"-wal", "-shm"} {
		require.NoFileExists(t, path+suffix)
		require.NoError(t, os.WriteFile(path+suffix, nil, 0o600))
		defer os.Remove(path + suffix)
	}
	return traces(t, path, records)
}

func TestEncryptedFileHasNoTemplates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imago.db")
	s, err := opening(t, path, withKeys(1))
	require.NoError(t, err)
	records := crowd(300, 128)
	enrol(t, s, records)
	require.NoError(t, s.replace(records[0]))
	require.Zero(t, traces(t, path, records))
	closeStore(t, s)
	require.Zero(t, tracesAtRest(t, path, records))
	requireKept(t, path, withKeys(1), records)
}

// A file that cannot be read, or may not be changed, with the keys that there
// are is refused in a sentence that says what to do, and nothing happens to it.
func TestKeysThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		file, opened config.Encryption
		want         string
	}{
		"another key":   {withKeys(1), withKeys(2), "encrypted with the key " + nameOfKey(t, 1)},
		"no key":        {withKeys(1), config.Encryption{}, "encrypted with the key " + nameOfKey(t, 1)},
		"not encrypted": {config.Encryption{}, withKeys(1), "set store.memory.encryption.convert to true"},
	} {
		t.Run(name, func(t *testing.T) {
			path, records := filled(t, 20, c.file)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			_, err = opening(t, path, c.opened)
			require.ErrorContains(t, err, c.want)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after)
			requireKept(t, path, c.file, records)
		})
	}
}

func TestConversion(t *testing.T) {
	path, records := filled(t, 3000, config.Encryption{})
	s, err := opening(t, path, config.Encryption{})
	require.NoError(t, err)
	for _, r := range records[:500] {
		require.NoError(t, s.remove(r.UserID))
	}
	closeStore(t, s)
	require.Equal(t, 2500, tracesAtRest(t, path, records), "the test does not see what is there")

	convert := withKeys(1)
	convert.Convert = true
	s, err = opening(t, path, convert)
	require.NoError(t, err)
	require.Equal(t, records[500:], contents(t, s))
	var unused int
	require.NoError(t, s.file.row("PRAGMA freelist_count").Scan(&unused))
	require.Zero(t, unused, "the file was not written anew, and may have copies that nothing refers to")
	closeStore(t, s)
	require.Zero(t, tracesAtRest(t, path, records))
	requireKept(t, path, withKeys(1), records[500:])
	_, err = opening(t, path, config.Encryption{})
	require.ErrorContains(t, err, "is encrypted")
}

// With a new key in front every vector is encrypted again; the old key is of no
// use then.
func TestRotation(t *testing.T) {
	path, records := filled(t, 3000, withKeys(1))
	before := sealedBy(t, path, 1)
	require.GreaterOrEqual(t, len(before), len(records), "the test does not see what is there")
	requireKept(t, path, withKeys(2, 1), records)
	_, err := opening(t, path, withKeys(1))
	require.ErrorContains(t, err, "encrypted with the key "+nameOfKey(t, 2))
	requireKept(t, path, withKeys(2), records)
	for head := range sealedBy(t, path, 1) {
		require.NotContains(t, before, head, "a vector is left that the old key opens")
	}
}

// sealedBy returns the key's ID with the nonce behind it of every vector that the key
// opens, and of whatever else looks like one.
func sealedBy(t *testing.T, path string, key byte) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	k, err := newKey(bytes.Repeat([]byte{key}, len(encryptionkey.Key{})))
	require.NoError(t, err)
	heads := map[string]bool{}
	for rest := data; ; {
		at := bytes.Index(rest, k.id[:])
		if at < 0 || len(rest)-at < keyIDBytes+12 {
			return heads
		}
		heads[string(rest[at:at+keyIDBytes+12])] = true
		rest = rest[at+1:]
	}
}

// A row in the place of another does not open, nor does one of another space,
// nor one that was never encrypted.
func TestSwappedRows(t *testing.T) {
	plain := fmt.Sprintf("UPDATE vector SET data = x'%x' WHERE slot = 1", encode(unitVector(seeded(1), 128)))
	for name, damage := range map[string]string{
		"swapped vectors": `UPDATE vector SET data = CASE slot WHEN 1 THEN (SELECT data FROM vector WHERE slot = 2)
			ELSE (SELECT data FROM vector WHERE slot = 1) END WHERE slot IN (1, 2)`,
		"swapped slots": `UPDATE face SET slot = 3 - slot WHERE slot IN (1, 2)`,
		"another user":  `UPDATE face SET user_id = 'user-999999' WHERE slot = 1`,
		"another face":  `UPDATE face SET face_id = 'g' WHERE slot = 1`,
		"another list":  `UPDATE face SET collection = 'blacklist' WHERE slot = 1`,
		"one byte": `UPDATE vector SET data = CAST(substr(data, 1, 99)
			|| CASE substr(data, 100, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(data, 101) AS BLOB) WHERE slot = 1`,
		"no encryption": plain,
		"an odd length": `UPDATE vector SET data = x'0102' WHERE slot = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := filled(t, 3, withKeys(1))
			conn := outside(t, path)
			_, err := conn.ExecContext(t.Context(), damage)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			_, err = opening(t, path, withKeys(1))
			require.ErrorContains(t, err, "corrupt file")
			_, err = opening(t, path, withKeys(2, 1))
			require.ErrorContains(t, err, "corrupt file", "found while it is encrypted anew")
		})
	}
}

// forge changes rows of a file as somebody does who can write it but has no key: with
// checksums and counts that fit.
func forge(t *testing.T, path string, change func(r *ports.Record, data []byte) []byte) {
	t.Helper()
	conn := outside(t, path)
	rows, err := conn.QueryContext(t.Context(), `SELECT collection, user_id, face_id, owner, enrolled_at, slot, data FROM face JOIN vector USING (slot)`)
	require.NoError(t, err)
	type changed struct {
		ports.Record
		slot int64
		data []byte
	}
	var all []changed
	for rows.Next() {
		var c changed
		var micros int64
		require.NoError(t, rows.Scan(&c.Collection, &c.UserID, &c.FaceID, &c.Owner, &micros, &c.slot, &c.data))
		c.EnrolledAt = time.UnixMicro(micros)
		c.data = change(&c.Record, c.data)
		all = append(all, c)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	var contents string
	require.NoError(t, conn.QueryRowContext(t.Context(), `SELECT value FROM meta WHERE key = 'contents'`).Scan(&contents))
	sum, err := parseTotals(contents)
	require.NoError(t, err)
	sum.faces, sum.sum = 0, 0
	for _, c := range all {
		check := checksumOf(c.Record, c.slot, c.data)
		sum.add(check)
		_, err := conn.ExecContext(t.Context(), `UPDATE face SET owner = ?, enrolled_at = ?, sum = ? WHERE slot = ?`, c.Owner, c.EnrolledAt.UnixMicro(), check, c.slot)
		require.NoError(t, err)
		_, err = conn.ExecContext(t.Context(), `UPDATE vector SET data = ? WHERE slot = ?`, c.data, c.slot)
		require.NoError(t, err)
	}
	_, err = conn.ExecContext(t.Context(), `UPDATE meta SET value = ? WHERE key = 'contents'`, sum.String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// Whoever can write the file cannot give a user to another client without the key, nor
// make an enrolment younger.
func TestForgedOwners(t *testing.T) {
	for name, change := range map[string]func(r *ports.Record){
		"another owner": func(r *ports.Record) { r.Owner = "mallory" },
		"no owner":      func(r *ports.Record) { r.Owner = "" },
		"another time":  func(r *ports.Record) { r.EnrolledAt = r.EnrolledAt.Add(time.Hour) },
	} {
		path, records := filled(t, 3, withKeys(1))
		forge(t, path, func(_ *ports.Record, data []byte) []byte { return data })
		requireKept(t, path, withKeys(1), records)
		forge(t, path, func(r *ports.Record, data []byte) []byte {
			if r.UserID == records[1].UserID {
				change(r)
			}
			return data
		})
		_, err := opening(t, path, withKeys(1))
		require.ErrorContains(t, err, "was not encrypted for this row", name)
		_, err = opening(t, path, withKeys(2, 1))
		require.ErrorContains(t, err, "was not encrypted for this row", name)
	}
}

// loosen makes a file what an imago has written that did not bind the owner.
func loosen(t *testing.T, path string, number byte) {
	t.Helper()
	all, err := keys(withKeys(number))
	require.NoError(t, err)
	v := vectorCipher{space: testSpace(128).ID(), keys: all}
	forge(t, path, func(r *ports.Record, data []byte) []byte {
		r.Vector = make([]float32, 128)
		require.NoError(t, v.open(r, data))
		return all[0].aead.Seal(append([]byte(nil), all[0].id[:]...), nil, encode(r.Vector), v.unboundIdentity(*r))
	})
	foreign(t, path, fmt.Sprintf("DROP TABLE chip; ALTER TABLE face DROP COLUMN expires_at; PRAGMA user_version = %d", unboundVersion))
}

// A file of an imago that did not bind the owner is read, and bound when it is opened:
// also when that is interrupted, when the key changes at the same time, and when it is
// to be written plain.
func TestBinding(t *testing.T) {
	fresh := func(n int) (string, []ports.Record) {
		path, records := filled(t, n, withKeys(1))
		loosen(t, path, 1)
		faces, err := Inspect(t.Context(), config.MemoryStore{Path: path, Encryption: withKeys(1)}, testSpace(128), ignore)
		require.NoError(t, err)
		require.Equal(t, n, faces)
		return path, records
	}
	for name, e := range map[string]config.Encryption{"the same key": withKeys(1), "another key": withKeys(2, 1)} {
		path, records := fresh(50)
		requireKept(t, path, e, records)
		requireKept(t, path, e, records)
		forge(t, path, func(r *ports.Record, data []byte) []byte { r.Owner = "mallory"; return data })
		_, err := opening(t, path, e)
		require.ErrorContains(t, err, "was not encrypted for this row", name)
	}
	plain := withKeys(1)
	plain.Decrypt = true
	path, records := fresh(50)
	requireKept(t, path, plain, records)
	requireKept(t, path, config.Encryption{}, records)

	path, records = fresh(5000)
	killEncrypting(t, path, 2, withKeys(1))
	killEncrypting(t, path, 1, withKeys(2, 1))
	faces, err := Inspect(t.Context(), config.MemoryStore{Path: path, Encryption: withKeys(2, 1)}, testSpace(128), ignore)
	require.NoError(t, err)
	require.Equal(t, 5000, faces)
	requireKept(t, path, withKeys(2, 1), records)
	forge(t, path, func(r *ports.Record, data []byte) []byte { r.Owner = "mallory"; return data })
	_, err = opening(t, path, withKeys(2, 1))
	require.ErrorContains(t, err, "was not encrypted for this row")
}

func TestKeyFiles(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, len(encryptionkey.Key{})))
	for name, c := range map[string]struct {
		text, want string
		n          int
	}{
		"one":          {good + "\n", "", 1},
		"without =":    {strings.TrimRight(good, "="), "", 1},
		"comments":     {"# of January\n" + good + " # in use\n\n", "", 1},
		"empty":        {"# nothing\n", "holds no key", 0},
		"short":        {base64.StdEncoding.EncodeToString([]byte("short")), "key 1 of store.memory.encryption is not 32 bytes in base64", 0},
		"not base64":   {good + "\n!hunter2!", "key 2 of store.memory.encryption is not 32 bytes in base64", 0},
		"twice":        {good + "\n" + good, "is a duplicate", 0},
		"a large file": {strings.Repeat("#\n", 64<<10), "larger than", 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			got, err := keys(config.Encryption{KeyFile: path})
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				require.NotContains(t, err.Error(), "hunter2")
				return
			}
			require.NoError(t, err)
			require.Len(t, got, c.n)
		})
	}
	_, err := keys(config.Encryption{KeyFile: filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = keys(config.Encryption{Key: " "})
	require.ErrorContains(t, err, "holds no key")
}

// The same vector of the same face is never stored twice as the same bytes.
func TestNoncesDiffer(t *testing.T) {
	all, err := keys(withKeys(1))
	require.NoError(t, err)
	v := vectorCipher{space: "s", keys: all}
	r := crowd(1, 128)[0]
	seen := map[string]bool{}
	for range 1000 {
		seen[string(v.seal(r)[keyIDBytes:keyIDBytes+12])] = true
	}
	require.Len(t, seen, 1000)
}

// BenchmarkVectorCipher measures what encryption itself takes.
func BenchmarkVectorCipher(b *testing.B) {
	for name, e := range map[string]config.Encryption{"plain": {}, "sealed": withKeys(1)} {
		all, err := keys(e)
		require.NoError(b, err)
		v := vectorCipher{space: testSpace(512).ID(), keys: all}
		r := crowd(1, 512)[0]
		data := v.seal(r)
		b.Run("seal/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				data = v.seal(r)
			}
		})
		b.Run("open/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, v.open(&r, data))
			}
		})
	}
}
