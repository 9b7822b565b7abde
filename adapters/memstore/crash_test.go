package memstore

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// crashEnv holds, in a child process, the path of the file to write to.
const crashEnv = "IMAGO_TEST_CRASH_FILE"

// TestCrash kills a process that enrols and removes in the middle of
// its work, several times on one file: whatever it had been told was done is
// done, bit by bit.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "imago.db")
	rng := seeded(4)
	want := map[string]ports.Record{}
	for round := range 6 {
		acknowledged := runUntilKilled(t, path, fmt.Sprintf("round%d", round), 20+rng.IntN(400))
		s := started(t, path, testSpace(64))
		unknown := applyAcknowledged(want, acknowledged)
		for id, r := range want {
			got, err := s.Get(t.Context(), userKey(id))
			require.NoError(t, err, "an acknowledged enrolment is lost")
			require.Equal(t, []ports.Record{r}, got)
		}
		for _, r := range contents(t, s) {
			if _, ok := want[r.UserID]; !ok {
				require.Contains(t, unknown, r.UserID, "an acknowledged removal is undone")
				want[r.UserID] = r
			}
		}
		closeStore(t, s)
	}
	require.Greater(t, len(want), 100)
}

// runUntilKilled starts the child, kills it after it has acknowledged n writes,
// and returns all that it acknowledged and all that it had begun.
func runUntilKilled(t *testing.T, path, name string, n int) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashEnv+"="+path, "IMAGO_TEST_CRASH_NAME="+name)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var lines []string
	for in := bufio.NewScanner(out); in.Scan(); {
		lines = append(lines, in.Text())
		if len(lines) == n {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	require.ErrorContains(t, cmd.Wait(), "killed")
	require.GreaterOrEqual(t, len(lines), n)
	return lines
}

// applyAcknowledged brings want up to date with the lines of a child. It returns
// the users about whom nothing is known: their last write was begun and not
// acknowledged.
func applyAcknowledged(want map[string]ports.Record, lines []string) map[string]bool {
	unknown := map[string]bool{}
	for _, line := range lines {
		step, id, _ := strings.Cut(line, " ")
		switch step {
		case "enrolled":
			want[id] = crashRecord(id)
		case "removed":
			delete(want, id)
		}
		unknown[id] = step == "begun"
		if step == "begun" {
			delete(want, id)
		}
	}
	for id, is := range unknown {
		if !is {
			delete(unknown, id)
		}
	}
	return unknown
}

// crashRecord makes the record of a user out of the ID alone.
func crashRecord(id string) ports.Record {
	var stream uint64
	for _, b := range []byte(id) {
		stream = stream*131 + uint64(b)
	}
	return record(id, unitVector(seeded(stream), 64))
}

// TestCrashChild is what the child runs: eight callers, each of which says what
// it is about to do and what was acknowledged, until the parent kills it.
func TestCrashChild(t *testing.T) {
	path := os.Getenv(crashEnv)
	if path == "" {
		return // TestCrash runs it
	}
	s := started(t, path, testSpace(64))
	fixture.Together(8, func(caller int) error {
		for i := 0; ; i++ {
			id := fmt.Sprintf("%s-%d-%d", os.Getenv("IMAGO_TEST_CRASH_NAME"), caller, i)
			say("begun", id)
			if err := s.Add(t.Context(), crashRecord(id), ports.NewUser()); err != nil {
				return err
			}
			say("enrolled", id)
			if i%3 > 0 {
				continue
			}
			say("begun", id)
			if err := s.Remove(t.Context(), ports.WholeUser(userKey(id)), ports.Everybody()); err != nil {
				return err
			}
			say("removed", id)
		}
	})
}

// say writes a line in one piece.
func say(step, id string) { _, _ = os.Stdout.WriteString(step + " " + id + "\n") }
