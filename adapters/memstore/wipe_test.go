package memstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// wiping returns a store that empties its log the given time after a removal.
func wiping(t *testing.T, delay time.Duration) *store {
	t.Helper()
	return wipingFile(t, filepath.Join(t.TempDir(), "imago.db"), delay)
}

func wipingFile(t *testing.T, path string, delay time.Duration) *store {
	t.Helper()
	s := newStore(path, testSpace(128))
	s.driver.wipeDelay = delay
	return opened(t, s)
}

// Soon after a removal or a replacement no byte of the template or of the chip is in the
// files, without any further call.
func TestRemovedVectorsLeaveTheFiles(t *testing.T) {
	for name, remove := range map[string]func(s *store, r ports.Record) error{
		"removed": func(s *store, r ports.Record) error {
			return s.Remove(t.Context(), ports.WholeUser(userKey(r.UserID)), ports.Everybody())
		},
		"replaced": func(s *store, r ports.Record) error {
			r.Vector, r.Chip = unitVector(seeded(9), 128), []byte{1}
			return s.Add(t.Context(), r, ports.Replacement(ports.Everybody()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := wiping(t, time.Millisecond)
			records := addChips(crowd(50, 128))
			enrol(t, s, records)
			// A look while the log is being emptied may come too early for one file
			// and too late for the other.
			until(t, "everybody is seen", func() bool { return traces(t, s.driver.cfg.Path, records) == 50 })
			for _, r := range records[:20] {
				require.NoError(t, remove(s, r))
			}
			until(t, "the traces are gone", func() bool { return traces(t, s.driver.cfg.Path, records[:20]) == 0 })
			until(t, "the others are there", func() bool { return traces(t, s.driver.cfg.Path, records[20:]) == 30 })
		})
	}
}

// The log is what has to be emptied: with the delay not over, it still has what
// was removed. Closing empties it too.
func TestLogKeepsTracesUntilWiped(t *testing.T) {
	s := wiping(t, time.Hour)
	records := crowd(20, 128)
	enrol(t, s, records)
	for _, r := range records {
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey(r.UserID)), ports.Everybody()))
	}
	require.Positive(t, traces(t, s.driver.cfg.Path, records))
	closeStore(t, s)
	require.NoFileExists(t, s.driver.cfg.Path+"-wal")
	for _, suffix := range []string{"-wal", "-shm"} {
		require.NoError(t, os.WriteFile(s.driver.cfg.Path+suffix, nil, 0o600))
	}
	require.Zero(t, traces(t, s.driver.cfg.Path, records))
}

// What a crash left in the log is gone soon after the next start.
func TestLogOfACrashIsWiped(t *testing.T) {
	s := wiping(t, time.Hour)
	records := crowd(20, 128)
	enrol(t, s, records)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey(records[0].UserID)), ports.Everybody()))
	path := filepath.Join(t.TempDir(), "imago.db")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(s.driver.cfg.Path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path+suffix, data, 0o600))
	}
	after := wipingFile(t, path, time.Millisecond)
	require.Equal(t, records[1:], contents(t, after))
	until(t, "the traces are gone", func() bool { return traces(t, path, records[:1]) == 0 })
}

// A long history of coming and going, with IDs and chips of many lengths and faces without a
// chip, leaves no template and no chip behind either: pages are split, merged and filled again.
func TestChurnLeavesNoTraces(t *testing.T) {
	s := wiping(t, time.Hour)
	rng, chips := seeded(3), addChips(make([]ports.Record, 6000))
	var live, gone []ports.Record
	for i := range 6000 {
		if len(live) < 200 || rng.IntN(2) == 0 && len(live) < 1000 {
			id := fmt.Sprintf("%08x-%s", rng.Uint32(), strings.Repeat("x", rng.IntN(200)))
			live = append(live, record(id, unitVector(rng, 128)))
			if i%3 != 0 {
				live[len(live)-1].Chip = chips[i].Chip
			}
			require.NoError(t, s.Add(t.Context(), live[len(live)-1], ports.NewUser()), "step %d", i)
			continue
		}
		at := rng.IntN(len(live))
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey(live[at].UserID)), ports.Everybody()))
		gone = append(gone, live[at])
		live[at] = live[len(live)-1]
		live = live[:len(live)-1]
	}
	require.NoError(t, s.driver.writer.file.TruncateLog())
	require.Greater(t, len(gone), 2000)
	require.Zero(t, traces(t, s.driver.cfg.Path, gone))
	require.Equal(t, len(live), traces(t, s.driver.cfg.Path, live))
}

// A backup in progress may keep the log from being emptied; the writer neither
// waits for it nor forgets.
func TestWipeTriesAgain(t *testing.T) {
	s := wiping(t, time.Millisecond)
	records := crowd(10, 128)
	enrol(t, s, records)
	reader := outside(t, s.driver.cfg.Path)
	_, err := reader.ExecContext(t.Context(), "BEGIN; SELECT count(*) FROM face")
	require.NoError(t, err)
	require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey(records[0].UserID)), ports.Everybody()))
	for range 20 {
		require.NoError(t, s.Add(t.Context(), records[0], ports.NewUser()))
		require.NoError(t, s.Remove(t.Context(), ports.WholeUser(userKey(records[0].UserID)), ports.Everybody()))
	}
	require.Positive(t, traces(t, s.driver.cfg.Path, records[:1]))
	_, err = reader.ExecContext(t.Context(), "COMMIT")
	require.NoError(t, err)
	until(t, "the traces are gone", func() bool { return traces(t, s.driver.cfg.Path, records[:1]) == 0 })
}
