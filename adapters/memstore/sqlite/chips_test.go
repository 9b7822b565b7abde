package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
	"imago/test/fixture"
)

// scanned returns the records of the tests' collection as a scan with chips yields them.
func scanned(t *testing.T, s *store) []ports.Record {
	t.Helper()
	selection := ports.Everything(users, "")
	selection.WithChips = true
	var all []ports.Record
	for r, err := range s.file.Scan(t.Context(), selection) {
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

// withChips returns a closed file with faces, two of three of which have chips.
func withChips(t *testing.T, n int, e config.Encryption) (config.MemoryStore, []ports.Record) {
	t.Helper()
	cfg := config.MemoryStore{Path: filepath.Join(t.TempDir(), "imago.db"), Encryption: e}
	s := configured(cfg, testSpace(128), discard())
	require.NoError(t, s.Start(t.Context()))
	all := addChips(expiring(n))
	for i := 0; i < n; i += 3 {
		all[i].Chip = nil
	}
	enrol(t, s, all)
	require.Equal(t, all, scanned(t, s))
	closeStore(t, s)
	return cfg, all
}

func requireChips(t *testing.T, cfg config.MemoryStore, want []ports.Record) {
	t.Helper()
	s := configured(cfg, testSpace(128), discard())
	require.NoError(t, s.Start(t.Context()))
	require.Equal(t, want, scanned(t, s))
	closeStore(t, s)
}

// A row has its chip behind what may be on a page with others, whatever the length.
func TestChipRows(t *testing.T) {
	for n := 1; n <= ports.MaxChipBytes; n += 61 {
		chip := make([]byte, n)
		chip[n-1] = 1
		row := padChip(chip)
		require.Equal(t, chip, unpadChip(row))
		const recordHeader = 5
		local := minLocal + (recordHeader+len(row)-minLocal)%chipPage
		require.LessOrEqual(t, local, pageSize-35, "SQLite would put %d bytes there", minLocal)
		require.Less(t, local-recordHeader, chipHead, n)
	}
	require.Nil(t, unpadChip(nil))
	require.Nil(t, unpadChip(make([]byte, chipHead-1)))
	row := padChip([]byte{1})
	row[3] = 1
	require.Nil(t, unpadChip(row))
}

// What encrypts, decrypts or encrypts vectors anew leaves chips alone, and a backup has them.
func TestChipsOutliveVectors(t *testing.T) {
	for name, e := range bothWays() {
		t.Run(name, func(t *testing.T) {
			cfg, all := withChips(t, 400, e)
			vectors := slices.Clone(all)
			for i := range vectors {
				vectors[i].Chip = nil
			}
			if name == "plain" {
				require.Equal(t, 400, tracesAtRest(t, cfg.Path, vectors))
			}
			cfg.Encryption = withKeys(2, 1)
			cfg.Encryption.Convert = name == "plain"
			requireChips(t, cfg, all)
			require.Zero(t, tracesAtRest(t, cfg.Path, vectors))
			cfg.Encryption.Convert, cfg.Encryption.Decrypt = false, true
			requireChips(t, cfg, all)
			cfg.Encryption = config.Encryption{}
			requireChips(t, cfg, all)

			target := filepath.Join(t.TempDir(), "copy.db")
			_, err := Backup(t.Context(), cfg, testSpace(128), target, ignore)
			require.NoError(t, err)
			cfg.Path = target
			requireChips(t, cfg, all)
		})
	}
}

// A file of an imago that knew no chips gets a place for them.
func TestUpgradeToChips(t *testing.T) {
	for name, version := range map[string]int{"plain": expiryVersion, "encrypted": encryptedVersion7} {
		t.Run(name, func(t *testing.T) {
			e := bothWays()[name]
			path, all := filled(t, 50, e)
			foreign(t, path, fmt.Sprintf("DROP TABLE chip; PRAGMA user_version = %d", version))
			cfg := config.MemoryStore{Path: path, Encryption: e}
			faces, err := Inspect(t.Context(), cfg, testSpace(128), ignore)
			require.NoError(t, err)
			require.Equal(t, 50, faces)
			_, err = Backup(t.Context(), cfg, testSpace(128), filepath.Join(t.TempDir(), "copy.db"), ignore)
			require.NoError(t, err)
			requireChips(t, cfg, all)

			s := configured(cfg, testSpace(128), discard())
			require.NoError(t, s.Start(t.Context()))
			late := addChips([]ports.Record{record("zoe", all[0].Vector)})
			require.NoError(t, s.add(late[0]))
			require.Equal(t, append(all, late...), scanned(t, s))
			closeStore(t, s)
		})
	}
}

// Chips that are damaged or gone stop nothing: their faces come without them, or with what
// their cipher refuses.
func TestDamagedChips(t *testing.T) {
	for name, statement := range map[string]string{
		"gone":         "DELETE FROM chip WHERE slot = 5",
		"cut off":      "UPDATE chip SET data = zeroblob(2000) WHERE slot = 5",
		"hardly there": "UPDATE chip SET data = x'ff' WHERE slot = 5",
		"too long":     "UPDATE chip SET data = CAST(x'ffffffff' || zeroblob(5000) AS BLOB) WHERE slot = 5",
	} {
		t.Run(name, func(t *testing.T) {
			cfg, all := withChips(t, 30, config.Encryption{})
			foreign(t, cfg.Path, statement)
			_, err := Inspect(t.Context(), cfg, testSpace(128), ignore)
			require.NoError(t, err)
			want := slices.Clone(all)
			want[4].Chip = nil
			s := configured(cfg, testSpace(128), discard())
			require.NoError(t, s.Start(t.Context()))
			got := scanned(t, s)
			if len(got[4].Chip) == 0 {
				got[4].Chip = nil
			}
			require.Equal(t, want, got)
			require.NoError(t, s.remove(all[4].UserID))
			require.NoError(t, s.add(all[4]))
			require.Equal(t, all, scanned(t, s))
			closeStore(t, s)
		})
	}
}

// A chip whose pages SQLite cannot follow is left out, and the log names its slot.
func TestChipOfLostPages(t *testing.T) {
	cfg, all := withChips(t, 30, config.Encryption{})
	broken := slices.IndexFunc(all, func(r ports.Record) bool { return len(r.Chip) > 2*pageSize })
	data, err := os.ReadFile(cfg.Path)
	require.NoError(t, err)
	page := bytes.Index(data, all[broken].Chip[:100]) / pageSize * pageSize
	copy(data[page:], "\x7f\xff\xff\xff") // the number of the next page
	require.NoError(t, os.WriteFile(cfg.Path, data, 0o600))

	var logged fixture.Log
	s := configured(cfg, testSpace(128), logged.Logger())
	require.NoError(t, s.Start(t.Context()))
	all[broken].Chip = nil
	require.Equal(t, all, scanned(t, s))
	require.Contains(t, logged.String(), "a chip cannot be read")
	closeStore(t, s)
}

// A chip without a face is what is left of somebody: imago check says so, and how to remove it.
func TestChipWithoutFace(t *testing.T) {
	cfg, all := withChips(t, 30, config.Encryption{})
	foreign(t, cfg.Path, "INSERT INTO chip SELECT 1000, data FROM chip LIMIT 1")
	requireChips(t, cfg, all)
	_, err := Inspect(t.Context(), cfg, testSpace(128), ignore)
	require.ErrorContains(t, err, "1 chips have no face")
	foreign(t, cfg.Path, "PRAGMA secure_delete = ON; DELETE FROM chip WHERE slot NOT IN (SELECT slot FROM face)")
	_, err = Inspect(t.Context(), cfg, testSpace(128), ignore)
	require.NoError(t, err)
}

// Of a page that was read before a face was replaced and one that was read after it, each has
// faces with their own chips, though slots are used again.
func TestScanWhileFacesAreReplaced(t *testing.T) {
	s := durable(t, 2)
	all := crowd(3*scanPage, 2)
	for i := range all {
		all[i].Chip = []byte(all[i].UserID + " 0")
	}
	enrol(t, s, all)
	selection := ports.Everything(users, "")
	selection.WithChips = true
	seen, round := 0, 0
	for r, err := range s.file.Scan(t.Context(), selection) {
		require.NoError(t, err)
		require.Contains(t, string(r.Chip), r.UserID+" ")
		if seen++; seen%scanPage != 1 {
			continue
		}
		round++
		for _, at := range seeded(uint64(round)).Perm(len(all)) {
			require.NoError(t, s.remove(all[at].UserID))
		}
		slices.Reverse(all)
		for i := range all {
			all[i].Chip = fmt.Appendf(nil, "%s %d", all[i].UserID, round)
		}
		enrol(t, s, all)
	}
	require.Equal(t, len(all), seen)
}

// A scan ends with its context, and the log can be emptied in the middle of one.
func TestScanHoldsNothing(t *testing.T) {
	s := durable(t, 2)
	enrol(t, s, addChips(crowd(2*scanPage, 2)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	selection, seen := ports.Everything(users, ""), 0
	selection.WithChips = true
	var failure error
	for _, err := range s.file.Scan(ctx, selection) {
		if failure = err; err != nil {
			break
		}
		if seen++; seen == 1 {
			require.NoError(t, s.file.TruncateLog())
			cancel()
		}
	}
	require.ErrorIs(t, failure, context.Canceled)
	require.Equal(t, scanPage, seen)
}
