package sqlite

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/config/encryptionkey"
	"imago/ports"
)

// A file set is what a store has left on the disk, by the suffix of the name.
type fileSet map[string][]byte

// leftBy reads the files of a store as they are now, as a crash leaves them.
func leftBy(t *testing.T, path string) fileSet {
	t.Helper()
	files := fileSet{}
	for _, suffix := range []string{"", "-wal", counterSuffix} {
		data, err := os.ReadFile(path + suffix)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		files[suffix] = data
	}
	return files
}

// write puts the files into a folder of their own and returns the path of the
// database.
func (f fileSet) write(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "imago.db")
	for _, suffix := range []string{"", "-wal", "-shm", counterSuffix} {
		if data, ok := f[suffix]; ok {
			require.NoError(t, os.WriteFile(path+suffix, data, 0o600))
		} else if err := os.Remove(path + suffix); !errors.Is(err, os.ErrNotExist) {
			require.NoError(t, err)
		}
	}
	return path
}

// damages are what disks, file systems and people do to files.
var damages = map[string]func(rng *rand.Rand, data []byte) []byte{
	"a bit flips": func(rng *rand.Rand, data []byte) []byte {
		data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
		return data
	},
	"the end is missing": func(rng *rand.Rand, data []byte) []byte { return data[:rng.IntN(len(data))] },
	"a sector of zeros": func(rng *rand.Rand, data []byte) []byte {
		clear(data[512*rng.IntN((len(data)+511)/512):][:min(512, len(data))])
		return data
	},
	"a page of noise": func(rng *rand.Rand, data []byte) []byte {
		at := pageSize * rng.IntN((len(data)+pageSize-1)/pageSize)
		for i := at; i < min(at+pageSize, len(data)); i++ {
			data[i] = byte(rng.Uint32())
		}
		return data
	},
	"a page in the place of another": func(rng *rand.Rand, data []byte) []byte {
		pages := len(data) / pageSize
		copy(data[pageSize*rng.IntN(pages):], data[pageSize*rng.IntN(pages):][:pageSize])
		return data
	},
}

// rounds returns how often each damage is done: IMAGO_TORTURE_DAMAGES, or a few
// times.
func rounds(t *testing.T, few int) int {
	t.Helper()
	set := os.Getenv("IMAGO_TORTURE_DAMAGES")
	if set == "" {
		return few
	}
	n, err := strconv.Atoi(set)
	require.NoError(t, err)
	return n
}

// Whatever happens to the files while imago is not running, it either opens them
// with every face that was enrolled, bit by bit, or says that they are damaged:
// never are there fewer faces, or others.
func TestDamagedFiles(t *testing.T) {
	n := rounds(t, 6)
	dir := t.TempDir()
	s := started(t, filepath.Join(dir, "imago.db"), testSpace(64))
	records := crowd(150, 64)
	enrol(t, s, records)
	running := leftBy(t, s.cfg.Path)
	closeStore(t, s)
	closed := leftBy(t, s.cfg.Path)
	require.Greater(t, len(running["-wal"]), 10*pageSize)
	require.NotContains(t, closed, "-wal")
	rng := seeded(9)
	for kind, damage := range damages {
		for where, c := range map[string]struct {
			files  fileSet
			suffix string
		}{"database": {closed, ""}, "log": {running, "-wal"}, "database under a log": {running, ""}, "counter": {running, counterSuffix}} {
			if kind == "a page in the place of another" && where == "counter" {
				continue // it has no two pages
			}
			refused := 0
			for range n {
				files := maps.Clone(c.files)
				files[c.suffix] = damage(rng, slices.Clone(files[c.suffix]))
				if refusesOrHas(t, files.write(t, dir), records) {
					refused++
				}
			}
			t.Logf("%s in the %s: %d times, of which %d refused and %d without loss", kind, where, n, refused, n-refused)
		}
	}
}

// refusesOrHas opens a file and requires that it has the records where it does not
// refuse to.
func refusesOrHas(t *testing.T, path string, records []ports.Record) (refused bool) {
	t.Helper()
	s := newStore(path, testSpace(64))
	faces, looked := Inspect(t.Context(), s.cfg, s.space, ignore)
	if err := s.Start(t.Context()); err != nil {
		require.ErrorContains(t, err, path+": ")
		require.Error(t, looked)
		return true
	}
	defer closeStore(t, s)
	if looked == nil {
		require.Equal(t, len(records), faces)
	} else {
		require.ErrorContains(t, looked, "corrupt")
		require.Error(t, s.file.checkChips(), "all that Inspect reads and Open does not")
	}
	require.Equal(t, records, contents(t, s))
	return false
}

// What people do to files is refused with what they can do about it, and what they
// then decide is done.
func TestMissingFiles(t *testing.T) {
	dir := t.TempDir()
	s := started(t, filepath.Join(dir, "imago.db"), testSpace(64))
	records := crowd(40, 64)
	enrol(t, s, records[:20])
	closeStore(t, s)
	older := leftBy(t, s.cfg.Path)
	s = started(t, s.cfg.Path, s.space)
	enrol(t, s, records[20:])
	running := leftBy(t, s.cfg.Path)
	closeStore(t, s)
	for name, c := range map[string]struct {
		files fileSet
		says  string
		left  []ports.Record // once the counter is deleted
	}{
		"the log is deleted":        {fileSet{"": running[""], counterSuffix: running[counterSuffix]}, "commits are missing", records[:20]},
		"the log is emptied":        {fileSet{"": running[""], "-wal": {}, counterSuffix: running[counterSuffix]}, "commits are missing", records[:20]},
		"an older copy is put back": {fileSet{"": older[""], counterSuffix: running[counterSuffix]}, "older copy", records[:20]},
		"the database is emptied":   {fileSet{"": {}, counterSuffix: running[counterSuffix]}, "empty or missing", nil},
		"the database is deleted":   {fileSet{counterSuffix: running[counterSuffix]}, "empty or missing", nil},
	} {
		path := c.files.write(t, dir)
		for range 2 {
			_, looked := Inspect(t.Context(), config.MemoryStore{Path: path}, s.space, ignore)
			err := newStore(path, s.space).Start(t.Context())
			require.EqualError(t, looked, err.Error(), name)
			require.ErrorContains(t, err, c.says, name)
			require.ErrorContains(t, err, "delete "+path+counterSuffix, name)
		}
		require.NoError(t, os.Remove(path+counterSuffix))
		again := started(t, path, s.space)
		require.Equal(t, c.left, contents(t, again), name)
		closeStore(t, again)
	}
}

// A database that comes from elsewhere is not held to what its place has seen.
func TestCounterOfAnotherDatabase(t *testing.T) {
	s := durable(t, 64)
	enrol(t, s, crowd(40, 64))
	closeStore(t, s)
	other := durable(t, 64)
	require.NoError(t, other.add(crowd(1, 64)[0]))
	closeStore(t, other)
	require.NoError(t, os.Rename(other.cfg.Path, s.cfg.Path))
	require.Len(t, contents(t, started(t, s.cfg.Path, s.space)), 1)
}

// Rows that somebody has deleted are missed, until an operator accepts it.
func TestRowsAreMissed(t *testing.T) {
	s := durable(t, 64)
	records := crowd(10, 64)
	enrol(t, s, records)
	closeStore(t, s)
	foreign(t, s.cfg.Path, "UPDATE vector SET data = zeroblob(length(data)) WHERE slot = (SELECT slot FROM face WHERE user_id = 'user-000003')")
	foreign(t, s.cfg.Path, "DELETE FROM face WHERE user_id = 'user-000003'")
	_, looked := Inspect(t.Context(), s.cfg, s.space, ignore)
	err := newStore(s.cfg.Path, s.space).Start(t.Context())
	require.EqualError(t, looked, err.Error())
	require.ErrorContains(t, err, "it has 9 faces, but 10 were committed")
	require.ErrorContains(t, err, acceptCommand)

	foreign(t, s.cfg.Path, "DELETE FROM meta WHERE key = 'contents'")
	want := append(slices.Clone(records[:3]), records[4:]...)
	s = started(t, s.cfg.Path, s.space)
	require.Equal(t, want, contents(t, s))
	require.NoError(t, s.remove("user-000009"))
	require.Equal(t, want[:8], contents(t, reopened(t, s)))
}

// A vector without its face is a face that was lost.
func TestVectorWithoutFace(t *testing.T) {
	s := durable(t, 64)
	enrol(t, s, crowd(10, 64))
	closeStore(t, s)
	foreign(t, s.cfg.Path, "DELETE FROM face WHERE user_id = 'user-000003'; DELETE FROM meta WHERE key = 'contents'")
	require.ErrorContains(t, newStore(s.cfg.Path, s.space).Start(t.Context()), "has no face")
}

// Files of an imago without checksums get them, and are as good as new.
func TestUpgrade(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString(make([]byte, len(encryptionkey.Key{})))
	for name, cfg := range map[string]config.MemoryStore{"plain": {}, "encrypted": {Encryption: config.Encryption{Key: config.Secret(secret)}}} {
		t.Run(name, func(t *testing.T) {
			cfg.Path = filepath.Join(t.TempDir(), "imago.db")
			opened := func() *store {
				s := configured(cfg, testSpace(64), discard())
				require.NoError(t, s.Start(t.Context()))
				return s
			}
			s := opened()
			records := crowd(50, 64)
			enrol(t, s, records)
			require.NoError(t, s.remove(records[49].UserID))
			closeStore(t, s)
			downgrade(t, cfg.Path, name == "encrypted")
			for range 2 {
				s = opened()
				require.Equal(t, records[:49], contents(t, s))
				closeStore(t, s)
			}
			files := leftBy(t, cfg.Path)
			files[""] = bytes.ReplaceAll(files[""], []byte("user-000007"), []byte("user-00000 "))
			files.write(t, filepath.Dir(cfg.Path))
			require.ErrorContains(t, configured(cfg, testSpace(64), discard()).Start(t.Context()), "corrupt")
		})
	}
}

// downgrade makes a file what an imago without checksums has written.
func downgrade(t *testing.T, path string, encrypted bool) {
	t.Helper()
	version := plainVersion1
	if encrypted {
		version = encryptedVersion1
	}
	foreign(t, path, fmt.Sprintf(`
		DROP TABLE chip;
		ALTER TABLE face DROP COLUMN sum;
		ALTER TABLE face DROP COLUMN expires_at;
		DELETE FROM meta WHERE key IN ('contents', 'file');
		PRAGMA user_version = %d`, version))
	require.NoError(t, os.Remove(path+counterSuffix))
}
