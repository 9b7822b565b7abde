package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// disk is where a gallery is, and can be without room for more.
type disk struct {
	dir string
	// full leaves so many bytes to a running imago, and returns what lifts that.
	full func(s *server, leave int64) (lift func())
	// lasting says that the next process has no more room.
	lasting bool
}

// smallDisk is a file system of its own that is filled up; nil where this process
// may not mount one.
func smallDisk(t *testing.T) *disk {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "size=8m,mode=0700"); err != nil {
		return nil
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return &disk{dir: dir, lasting: true, full: func(_ *server, leave int64) func() {
		filler := filepath.Join(dir, "filler")
		file, err := os.Create(filler)
		require.NoError(t, err)
		defer file.Close()
		for block := make([]byte, 4096); err == nil; {
			_, err = file.Write(block)
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		info, err := file.Stat()
		require.NoError(t, err)
		require.NoError(t, file.Truncate(info.Size()-leave))
		return func() { require.NoError(t, os.Remove(filler)) }
	}}
}

// smallFiles is a folder in which files cannot grow beyond a size, as by a quota.
func smallFiles(t *testing.T) *disk {
	t.Helper()
	dir := t.TempDir()
	return &disk{dir: dir, full: func(s *server, leave int64) func() {
		log, err := os.Stat(filepath.Join(dir, "imago.db-wal"))
		require.NoError(t, err)
		var before unix.Rlimit
		require.NoError(t, unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &before))
		limit := unix.Rlimit{Cur: uint64(log.Size() + leave), Max: before.Max}
		require.NoError(t, unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil))
		return func() { require.NoError(t, unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &before, nil)) }
	}}
}

// On a full disk enrolments are refused, and nothing else changes: who was enrolled
// is found, nobody else is, not even after a restart; and when there is room again
// all goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) { fillUp(t, smallFiles(t), 50_000) })
	small := smallDisk(t)
	if small == nil {
		t.Log("no file system can be mounted here: files that may not grow have to do")
		return
	}
	for _, leave := range []int64{0, 100_000} {
		t.Run(fmt.Sprintf("disk, %d bytes", leave), func(t *testing.T) { fillUp(t, small, leave) })
	}
}

func fillUp(t *testing.T, d *disk, leave int64) {
	path := filepath.Join(d.dir, "imago.db")
	for _, suffix := range []string{"", "-wal", "-shm", ".commits"} {
		_ = os.Remove(path + suffix)
	}
	env := []string{"IMAGO_STORE_MEMORY_PATH=" + path, "IMAGO_INFERENCE_REFINE=false", "IMAGO_INFERENCE_DETECT_SIZES=160"}
	s := start(t, env...)
	enrolled, refused := s.enrolMany("before", 5)
	require.Empty(t, refused)
	lift := d.full(s, leave)
	more, refused := s.enrolMany("during", 40)
	enrolled = append(enrolled, more...)
	require.NotEmpty(t, refused, "the disk is not full")
	t.Logf("%d enrolled and %d refused on the full disk", len(more), len(refused))

	s.requireUsers(enrolled)
	require.Equal(t, http.StatusOK, s.must("GET", "/readyz", "").status, "searches are served")
	require.Regexp(t, `imago_store_errors_total\{kind="unavailable",operation="add"\} [1-9]`, s.must("GET", "/metrics", "").body)
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), `"msg":"store lost"`) }, startTimeout, 5*time.Millisecond)
	require.Equal(t, 1, strings.Count(s.log.String(), `"msg":"store lost"`), "once for all of them")
	require.Regexp(t, `"level":"ERROR","msg":"store lost".*"call":"add".*disk`, s.log.String())
	require.NotContains(t, s.log.String(), `"msg":"request failed"`)
	if a := s.unenrol(enrolled[0]); a.status == http.StatusOK {
		enrolled = enrolled[1:]
	} else {
		requireNoRoom(t, a)
	}
	s.requireUsers(enrolled)
	if d.lasting {
		out, err := imagoOutput(t, env, "check")
		require.Error(t, err)
		require.Regexp(t, `store: FAILED: the disk of \S+ is full: \d+ kB are left`, out)
		s.kill()
		s = start(t, env...)
		s.requireUsers(enrolled)
	}
	lift()
	for _, id := range refused {
		require.Equal(t, http.StatusOK, s.enrol(id, portrait(t)).status, "there is room again")
	}
	require.Equal(t, http.StatusOK, s.unenrol(enrolled[0]).status)
	want := append(enrolled[1:], refused...)
	s.requireUsers(want)
	s.kill()
	s = start(t, env...)
	s.requireUsers(want)
	s.stop()
}

// requireNoRoom checks what a client is told of a full disk.
func requireNoRoom(t testing.TB, a answer) {
	t.Helper()
	require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
	require.JSONEq(t, problemOf(503, "The server cannot answer now. Try again later."), a.body)
	require.NotEmpty(t, a.header.Get("Retry-After"))
}

// enrolMany enrols users by several clients at once and returns who was enrolled
// and who was refused for want of room.
func (s *server) enrolMany(prefix string, n int) (enrolled, refused []string) {
	s.t.Helper()
	body := faceJSON(portrait(s.t))
	answers := make([]answer, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	for c := range 4 {
		all.Go(func() {
			for i := c; i < n; i += 4 {
				answers[i], errs[i] = s.call(s.t.Context(), "POST", fmt.Sprintf("/users/%s-%02d", prefix, i), body)
			}
		})
	}
	all.Wait()
	for i, a := range answers {
		require.NoError(s.t, errs[i], "%s", s.log)
		id := fmt.Sprintf("%s-%02d", prefix, i)
		if a.status == http.StatusOK {
			enrolled = append(enrolled, id)
			continue
		}
		requireNoRoom(s.t, a)
		refused = append(refused, id)
	}
	return enrolled, refused
}

// requireUsers checks that a list and a search have exactly these users.
func (s *server) requireUsers(want []string) {
	s.t.Helper()
	var list struct{ Users []struct{ UserID string } }
	a := s.must("GET", "/users?limit=100", "")
	require.NoError(s.t, json.Unmarshal([]byte(a.body), &list), a.body)
	var listed, found []string
	for _, u := range list.Users {
		listed = append(listed, u.UserID)
	}
	body := faceJSON(portrait(s.t))
	for _, m := range s.must("POST", "/users/search", body[:len(body)-1]+`,"limit":100}`).matches(s.t) {
		found = append(found, m.UserID)
	}
	require.ElementsMatch(s.t, want, listed)
	require.ElementsMatch(s.t, want, found)
}

// What is wrong with a disk or a file at the start is said in a sentence.
func TestBadDiskAtStart(t *testing.T) {
	t.Parallel()
	filled := smallDisk(t)
	frozen := smallDisk(t)
	cases := map[string]struct {
		path string
		says []string
	}{}
	if filled != nil {
		filled.full(nil, 0)
		cases["no room for a new file"] = struct {
			path string
			says []string
		}{filepath.Join(filled.dir, "imago.db"), []string{"full"}}
	}
	if frozen != nil {
		require.NoError(t, syscall.Mount("", frozen.dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		cases["read-only"] = struct {
			path string
			says []string
		}{filepath.Join(frozen.dir, "imago.db"), []string{"read-only file system"}}
	}
	damaged := filepath.Join(t.TempDir(), "imago.db")
	s := start(t, "IMAGO_STORE_MEMORY_PATH="+damaged)
	enrolled, refused := s.enrolMany("user", 8)
	require.Empty(t, refused)
	s.requireUsers(enrolled)
	require.Equal(t, http.StatusOK, s.enrol("the last", portrait(t)).status) // the log may just have been emptied
	s.kill()
	require.NoError(t, os.Remove(damaged+"-wal"))
	cases["a log that is gone"] = struct {
		path string
		says []string
	}{damaged, []string{"commits", "delete " + damaged + ".commits"}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out := refusesToStart(t, "IMAGO_STORE_MEMORY_PATH="+c.path)
			last := lastLine(out)
			require.Contains(t, last, c.path)
			for _, says := range c.says {
				require.Contains(t, last, says)
			}
			require.NotContains(t, out, "goroutine ", "no stack trace")
		})
	}
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}
