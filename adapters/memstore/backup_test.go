package memstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// A backup is taken while imago enrols. It has all that was there before, is of one moment,
// is a store like any other, and nobody but its owner can read it.
func TestOnlineBackup(t *testing.T) {
	s := durable(t, 64)
	records := crowd(600, 64)
	enrol(t, s, records[:300])
	copied := filepath.Join(t.TempDir(), "backup.db")
	began := make(chan struct{})
	errs := make(chan error, 1)
	go func() {
		close(began)
		errs <- errors.Join(fixture.Together(300, func(i int) error {
			return s.Add(t.Context(), records[300+i], ports.NewUser())
		})...)
	}()
	<-began
	counted := 0
	faces, err := Backup(t.Context(), s.driver.cfg, s.driver.space, copied, func(ports.Record) { counted++ })
	require.NoError(t, err)
	require.NoError(t, <-errs)
	require.Equal(t, counted, faces)
	entries, err := os.ReadDir(filepath.Dir(copied))
	require.NoError(t, err)
	require.Len(t, entries, 1, "one file")
	info, err := os.Stat(copied)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())

	restored := contents(t, started(t, copied, s.driver.space))
	require.Len(t, restored, faces)
	require.GreaterOrEqual(t, len(restored), 300)
	require.Subset(t, contents(t, s), restored)
	require.Equal(t, records[:300], restored[:300])
}

// What is not a whole backup has no name: nothing is replaced, damage is reported, and
// nothing is left behind.
func TestBackupRefuses(t *testing.T) {
	s := durable(t, 64)
	enrol(t, s, crowd(40, 64))
	ignore := func(ports.Record) {}
	dir := t.TempDir()
	target := filepath.Join(dir, "backup.db")
	for _, suffix := range []string{"", "-wal", ".commits"} {
		require.NoError(t, os.WriteFile(target+suffix, []byte("mine"), 0o600))
		_, err := Backup(t.Context(), s.driver.cfg, s.driver.space, target, ignore)
		require.ErrorIs(t, err, fs.ErrExist, suffix)
		data, err := os.ReadFile(target + suffix)
		require.NoError(t, err)
		require.Equal(t, "mine", string(data))
		require.NoError(t, os.Remove(target+suffix))
	}
	require.NoError(t, syscall.Mkfifo(target, 0o600))
	_, err := Backup(t.Context(), s.driver.cfg, s.driver.space, target, ignore)
	require.ErrorIs(t, err, fs.ErrExist)
	require.NoError(t, os.Remove(target))

	other := s.driver.space
	other.Dimension = 32
	_, err = Backup(t.Context(), s.driver.cfg, other, target, ignore)
	require.ErrorIs(t, err, ports.ErrSpaceMismatch)

	require.NoError(t, s.Close(t.Context()))
	conn := outside(t, s.driver.cfg.Path)
	_, err = conn.ExecContext(t.Context(), "UPDATE vector SET data = randomblob(length(data)) WHERE slot = 7")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = Backup(t.Context(), s.driver.cfg, s.driver.space, target, ignore)
	require.ErrorContains(t, err, "the copy does not read back")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}
