package reload

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/config/regularfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keeper keeps the text of two files, none of which may contain "bad".
type keeper struct {
	paths   []string
	text    string
	reports []error
}

var errBad = errors.New("bad")

func (k *keeper) load() error {
	text := ""
	for _, path := range k.paths {
		data, err := regularfile.Read(path, 100)
		if err != nil {
			return err
		}
		text += string(data)
	}
	if strings.Contains(text, "bad") {
		return errBad
	}
	k.text = text
	return nil
}

func (k *keeper) report(err error) { k.reports = append(k.reports, err) }

func open(t *testing.T) (*keeper, *Files) {
	t.Helper()
	dir := t.TempDir()
	k := &keeper{paths: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}}
	write(t, k.paths[0], "one ")
	write(t, k.paths[1], "two")
	f := New(k.load, k.report, append(k.paths, "")...)
	f.Interval = time.Hour
	t.Cleanup(f.Close)
	return k, f
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestChangesAreReportedOnce(t *testing.T) {
	k, f := open(t)
	require.NoError(t, f.Start())
	f.Poll()
	require.Equal(t, "one two", k.text)
	require.Empty(t, k.reports, "nothing has changed")

	write(t, k.paths[1], "ten")
	f.Poll()
	f.Poll()
	require.Equal(t, "one ten", k.text)
	require.Equal(t, []error{nil}, k.reports)
}

func TestWhatIsWrongIsReportedWhenItStays(t *testing.T) {
	k, f := open(t)
	require.NoError(t, f.Start())
	write(t, k.paths[0], "bad ")
	f.Poll()
	require.Empty(t, k.reports, "it may be about to be mended")
	write(t, k.paths[0], "new ")
	f.Poll()
	require.Equal(t, []error{nil}, k.reports)
	require.Equal(t, "new two", k.text)

	require.NoError(t, os.Remove(k.paths[0]))
	for range 3 {
		f.Poll()
	}
	require.Len(t, k.reports, 2)
	require.ErrorIs(t, k.reports[1], os.ErrNotExist)
	require.Equal(t, "new two", k.text, "what is in force stays")
}

func TestReload(t *testing.T) {
	k, f := open(t)
	require.NoError(t, f.Start())
	require.NoError(t, f.Reload(), "unchanged files are read too")
	write(t, k.paths[0], "bad ")
	require.ErrorIs(t, f.Reload(), errBad)
	f.Poll()
	require.Equal(t, []error{nil, errBad}, k.reports, "the same state is not reported again")
	require.Equal(t, "one two", k.text)
}

func TestStartFails(t *testing.T) {
	k, f := open(t)
	write(t, k.paths[0], "bad ")
	require.ErrorIs(t, f.Start(), errBad)
	require.Empty(t, k.reports)
}

func TestWithoutFiles(t *testing.T) {
	f := New(func() error { return errBad }, func(error) { t.Error("there is nothing to report") }, "", "")
	require.NoError(t, f.Start())
	require.NoError(t, f.Reload())
	f.Close()
}

// Mounted secrets change by a symbolic link to another folder, which may leave
// the size and the time of the file as they were.
func TestSymbolicLinks(t *testing.T) {
	dir, at := t.TempDir(), time.Unix(1_700_000_000, 0)
	for _, version := range []string{"v1", "v2"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		path := filepath.Join(dir, version, "file")
		write(t, path, version)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	require.NoError(t, os.Symlink("v1", filepath.Join(dir, "data")))
	k := &keeper{paths: []string{filepath.Join(dir, "data", "file")}}
	f := New(k.load, k.report, k.paths...)
	f.Interval = time.Hour
	require.NoError(t, f.Start())
	defer f.Close()
	require.NoError(t, os.Symlink("v2", filepath.Join(dir, "next")))
	require.NoError(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "data")))
	f.Poll()
	require.Equal(t, "v2", k.text)
}

// Content that moves from one file to the next is a change.
func TestBoundariesBetweenFiles(t *testing.T) {
	k, f := open(t)
	require.NoError(t, f.Start())
	write(t, k.paths[0], "one t")
	write(t, k.paths[1], "wo")
	f.Poll()
	require.Equal(t, []error{nil}, k.reports)
}

func TestFilesAreWatched(t *testing.T) {
	var loads atomic.Int64
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "one")
	f := New(func() error { loads.Add(1); return nil }, func(error) {}, path)
	f.Interval = time.Millisecond
	require.NoError(t, f.Start())
	defer f.Close()
	write(t, path, "two")
	require.Eventually(t, func() bool { return loads.Load() > 1 }, 30*time.Second, time.Millisecond)
}

// hang returns Files over a file whose reading hangs until the returned function
// is called.
func hang(t *testing.T) (files *Files, reports chan error, release func()) {
	t.Helper()
	path, held := filepath.Join(t.TempDir(), "a"), make(chan struct{})
	write(t, path, "one")
	reports = make(chan error, 10)
	var loads atomic.Int64
	files = New(func() error {
		if loads.Add(1) > 1 {
			<-held
		}
		return nil
	}, func(err error) { reports <- err }, path)
	files.Interval, files.patience = time.Millisecond, time.Millisecond
	require.NoError(t, files.Start())
	write(t, path, "two")
	return files, reports, sync.OnceFunc(func() { close(held) })
}

// A file system that hangs is reported once, costs one goroutine, and holds up
// neither a reload nor the end; what was read in the end is in force.
func TestReadingThatHangs(t *testing.T) {
	files, reports, release := hang(t)
	defer release()
	require.ErrorIs(t, <-reports, errSlow)
	goroutines := runtime.NumGoroutine()
	for range 20 {
		require.ErrorIs(t, files.Reload(), errSlow)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	require.Empty(t, reports, "it is reported once")
	release()
	require.NoError(t, <-reports)
	files.Close()
}

func TestCloseDoesNotWaitForAReadingThatHangs(t *testing.T) {
	files, reports, release := hang(t)
	defer release()
	require.ErrorIs(t, <-reports, errSlow)
	files.Close()
	require.ErrorIs(t, files.Reload(), errClosed)
}

func TestStartDoesNotWaitForAReadingThatHangs(t *testing.T) {
	held := make(chan struct{})
	defer close(held)
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "one")
	files := New(func() error { <-held; return nil }, func(error) {}, path)
	files.patience = time.Millisecond
	require.ErrorIs(t, files.Start(), errSlow)
}

// A pipe in the place of a file holds nobody up.
func TestPipe(t *testing.T) {
	k, f := open(t)
	require.NoError(t, f.Start())
	require.NoError(t, os.Remove(k.paths[0]))
	require.NoError(t, syscall.Mkfifo(k.paths[0], 0o600))
	require.ErrorIs(t, f.Reload(), regularfile.ErrNotRegular)
	require.Equal(t, "one two", k.text)
}
