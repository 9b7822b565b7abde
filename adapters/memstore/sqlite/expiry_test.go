package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// expiring returns users of whom every other expires.
func expiring(n int) []ports.Record {
	all := crowd(n, 128)
	for i := 0; i < n; i += 2 {
		all[i].ExpiresAt = time.UnixMicro(1900000000000001 + int64(i)).UTC()
	}
	return all
}

// bothWays are the settings under which a file is plain, and encrypted.
func bothWays() map[string]config.Encryption {
	return map[string]config.Encryption{"plain": {}, "encrypted": withKeys(1)}
}

// Expiries are kept, also when vectors are encrypted, written plain and encrypted again.
func TestExpiryIsKept(t *testing.T) {
	for name, e := range bothWays() {
		t.Run(name, func(t *testing.T) {
			path, records := filepath.Join(t.TempDir(), "imago.db"), expiring(20)
			s := configured(config.MemoryStore{Path: path, Encryption: e}, testSpace(128), discard())
			require.NoError(t, s.Start(t.Context()))
			enrol(t, s, records)
			closeStore(t, s)
			requireKept(t, path, e, records)
			other := withKeys(2, 1)
			other.Convert = name == "plain"
			requireKept(t, path, other, records)
			other.Convert, other.Decrypt = false, true
			requireKept(t, path, other, records)
			requireKept(t, path, config.Encryption{}, records)
		})
	}
}

// Who gives a user another expiry in the file, or takes it away, is found out.
func TestExpiryIsProtected(t *testing.T) {
	for name, e := range bothWays() {
		for _, forged := range []string{"expires_at + 1", "0", "2000000000000000"} {
			path := filepath.Join(t.TempDir(), "imago.db")
			s := configured(config.MemoryStore{Path: path, Encryption: e}, testSpace(128), discard())
			require.NoError(t, s.Start(t.Context()))
			enrol(t, s, expiring(10))
			closeStore(t, s)
			foreign(t, path, "UPDATE face SET expires_at = "+forged+" WHERE user_id = 'user-000004'")
			_, err := opening(t, path, e)
			want := "wrong checksum"
			if name == "encrypted" {
				want = "was not encrypted for this row"
			}
			require.ErrorContains(t, err, want, name+forged)
		}
	}
}

// A file of an imago that knew no expiries loses nothing when it is upgraded; vectors are
// not encrypted again for it.
func TestUpgradeToExpiries(t *testing.T) {
	for name, version := range map[string]int{"plain": checksumVersion, "encrypted": encryptedVersion5} {
		t.Run(name, func(t *testing.T) {
			e := bothWays()[name]
			path, records := filled(t, 50, e)
			foreign(t, path, fmt.Sprintf("DROP TABLE chip; ALTER TABLE face DROP COLUMN expires_at; PRAGMA user_version = %d", version))
			cfg := config.MemoryStore{Path: path, Encryption: e}
			faces, err := Inspect(t.Context(), cfg, testSpace(128), ignore)
			require.NoError(t, err)
			require.Equal(t, 50, faces)
			faces, err = Backup(t.Context(), cfg, testSpace(128), filepath.Join(t.TempDir(), "copy.db"), ignore)
			require.NoError(t, err)
			require.Equal(t, 50, faces)
			requireKept(t, path, e, records)

			s := configured(cfg, testSpace(128), discard())
			require.NoError(t, s.Start(t.Context()))
			late := record("late", records[0].Vector)
			late.ExpiresAt = time.UnixMicro(1900000000000000).UTC()
			require.NoError(t, s.add(late))
			closeStore(t, s)
			s = configured(cfg, testSpace(128), discard())
			require.NoError(t, s.Start(t.Context()))
			require.Equal(t, late.ExpiresAt, s.faces[late.User()][0].ExpiresAt)
			closeStore(t, s)
		})
	}
}
