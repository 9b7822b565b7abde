package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// decrypting returns settings under which a file is written plain.
func decrypting(numbers ...byte) config.Encryption {
	e := withKeys(numbers...)
	e.Decrypt = true
	return e
}

// A file is written plain once, and then needs no key.
func TestDecryption(t *testing.T) {
	path, records := filled(t, 3000, withKeys(1))
	s, err := opening(t, path, withKeys(1))
	require.NoError(t, err)
	for _, r := range records[:500] {
		require.NoError(t, s.remove(r.UserID))
	}
	closeStore(t, s)
	require.Zero(t, tracesAtRest(t, path, records))

	_, err = opening(t, path, decrypting(2))
	require.ErrorContains(t, err, "encrypted with the key "+nameOfKey(t, 1))
	_, err = opening(t, path, config.Encryption{Decrypt: true})
	require.ErrorContains(t, err, "set store.memory.encryption.decrypt to true beside it")

	s, err = opening(t, path, decrypting(1))
	require.NoError(t, err)
	require.Equal(t, records[500:], contents(t, s))
	require.NoError(t, s.add(records[0]), "what comes later is plain too")
	var unused int
	require.NoError(t, s.file.row("PRAGMA freelist_count").Scan(&unused))
	require.Zero(t, unused, "rows have moved, and copies that nothing refers to may be left")
	closeStore(t, s)
	kept := append(records[:1:1], records[500:]...)
	require.Equal(t, len(kept), tracesAtRest(t, path, records))
	requireKept(t, path, decrypting(1), kept)
	requireKept(t, path, config.Encryption{}, kept)
	_, err = opening(t, path, withKeys(1))
	require.ErrorContains(t, err, "is not encrypted")
}

// A process is killed again and again while it writes a file plain, which may
// also be called off: nothing is lost, and the file ends as wanted.
func TestCrashWhileDecrypting(t *testing.T) {
	path, records := filled(t, 6000, withKeys(1))
	killEncrypting(t, path, 2, decrypting(1))
	_, err := opening(t, path, config.Encryption{})
	require.ErrorContains(t, err, "encrypted with the key "+nameOfKey(t, 1), "half of it still needs the key")
	killEncrypting(t, path, 3, decrypting(1))
	requireKept(t, path, withKeys(2, 1), records)
	require.Zero(t, tracesAtRest(t, path, records), "it was called off: everything is encrypted again")
	killEncrypting(t, path, 1, decrypting(2))
	requireKept(t, path, decrypting(2), records)
	requireKept(t, path, config.Encryption{}, records)
}

// sealedNote is the number of vectors that a file says a key has sealed.
func sealedNote(t *testing.T, path string, number byte) uint64 {
	t.Helper()
	conn := outside(t, path)
	var text string
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT value FROM meta WHERE key = ?", metaSealed+nameOfKey(t, number)).Scan(&text))
	require.NoError(t, conn.Close())
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return n
}

// setSealedNote pretends that a key has sealed so many.
func setSealedNote(t *testing.T, path string, number byte, n uint64) {
	t.Helper()
	conn := outside(t, path)
	_, err := conn.ExecContext(t.Context(), "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
		metaSealed+nameOfKey(t, number), strconv.FormatUint(n, 10))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// The file never says less than the key has sealed, over restarts and failed
// commits too.
func TestUseOfAKeyIsCounted(t *testing.T) {
	path, records := filled(t, 300, withKeys(1))
	first := sealedNote(t, path, 1)
	require.GreaterOrEqual(t, first, uint64(300))
	s, err := opening(t, path, withKeys(1))
	require.NoError(t, err)
	d := s.file
	require.Equal(t, first, d.cipher.sealingKey().sealed, "what may have been used counts as used")
	r := crowd(301, 128)[300]
	require.NoError(t, s.add(r))
	require.Error(t, d.Commit([]Change{{Face: r, Add: true}}), "its face is there")
	require.NoError(t, s.replace(r))
	sealed := d.cipher.sealingKey().sealed
	require.Equal(t, first+3, sealed)
	closeStore(t, s)
	require.GreaterOrEqual(t, sealedNote(t, path, 1), sealed)
	requireKept(t, path, withKeys(2, 1), append(records, r))
	require.GreaterOrEqual(t, sealedNote(t, path, 2), uint64(301), "encrypting anew counts")
	require.Less(t, sealedNote(t, path, 2), first+reservedBlock, "each key for itself")
}

// A key that was used as often as is safe seals nothing more; everything else
// goes on, and another key puts an end to it.
func TestSpentKey(t *testing.T) {
	path, records := filled(t, 10, withKeys(1))
	setSealedNote(t, path, 1, maxSealed-2)
	s, err := opening(t, path, withKeys(1))
	require.NoError(t, err)
	more := crowd(14, 128)[10:]
	require.NoError(t, s.add(more[0]))
	require.NoError(t, s.add(more[1]))
	err = s.add(more[2])
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorContains(t, err, "put a new key in front of it")
	require.NoError(t, s.remove(records[0].UserID))
	closeStore(t, s)
	require.EqualValues(t, maxSealed, sealedNote(t, path, 1))

	s, err = opening(t, path, withKeys(2, 1))
	require.NoError(t, err)
	require.NoError(t, s.add(more[2]))
	closeStore(t, s)
	requireKept(t, path, withKeys(2), append(records[1:], more[:3]...))
}

// Looking at a file says what opening it would, and leaves it as it was, also
// while it is in use.
func TestInspect(t *testing.T) {
	path, _ := filled(t, 20, withKeys(1))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	look := func(e config.Encryption, dimension int) (int, error) {
		return Inspect(t.Context(), config.MemoryStore{Path: path, Encryption: e}, testSpace(dimension), ignore)
	}
	faces, err := look(withKeys(1), 128)
	require.NoError(t, err)
	require.Equal(t, 20, faces)
	_, err = look(withKeys(2, 1), 128)
	require.NoError(t, err)
	_, err = look(withKeys(2), 128)
	require.ErrorContains(t, err, "encrypted with the key "+nameOfKey(t, 1))
	_, err = look(withKeys(1), 64)
	require.ErrorIs(t, err, ports.ErrSpaceMismatch)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	s, err := opening(t, path, withKeys(1))
	require.NoError(t, err)
	require.NoError(t, s.add(crowd(21, 128)[20]))
	faces, err = look(withKeys(1), 128)
	require.NoError(t, err)
	require.Equal(t, 21, faces)
	closeStore(t, s)

	_, err = Inspect(t.Context(), config.MemoryStore{Path: filepath.Join(t.TempDir(), "none.db")}, testSpace(128), ignore)
	require.True(t, errors.Is(err, fs.ErrNotExist))
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("certainly not a database, whatever it is called"), 0o600))
	_, err = Inspect(t.Context(), config.MemoryStore{Path: text}, testSpace(128), ignore)
	require.ErrorContains(t, err, "not a SQLite database")
}
