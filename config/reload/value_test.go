package reload

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
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

// texts are two files, whose Value is their text. None may contain "bad".
type texts struct {
	*Value[string]
	paths   []string
	reports []error
	log     bytes.Buffer
}

var errBad = errors.New("bad")

func (f *texts) parse(string) (string, error) {
	text := ""
	for _, path := range f.paths {
		data, err := regularfile.Read(path, 100)
		if err != nil {
			return "", err
		}
		text += string(data)
	}
	if strings.Contains(text, "bad") {
		return "", errBad
	}
	return text, nil
}

func describe(text string) []any { return []any{"text", text} }

var quiet = slog.New(slog.DiscardHandler)

// source is a Source of one file that is parsed by a function.
func source(parse func(string) (string, error), paths ...string) Source[string] {
	return Source[string]{Component: "texts", What: "test texts", Paths: paths, Parse: parse, Describe: describe}
}

func newTexts(t *testing.T, paths ...string) *texts {
	t.Helper()
	f := &texts{paths: paths}
	f.Value = New(source(f.parse, append(paths, "")...), slog.New(slog.NewTextHandler(&f.log, nil)))
	f.Interval = time.Hour
	f.OnReload(func(err error) { f.reports = append(f.reports, err) })
	t.Cleanup(func() { require.NoError(t, f.Close(context.Background())) })
	return f
}

func open(t *testing.T) *texts {
	t.Helper()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "one ")
	write(t, b, "two")
	return newTexts(t, a, b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestChangesAreReportedOnce(t *testing.T) {
	f := open(t)
	require.NoError(t, f.Start(t.Context()))
	f.Poll()
	require.Equal(t, "one two", f.Current())
	require.Empty(t, f.reports, "nothing has changed")

	write(t, f.paths[1], "ten")
	f.Poll()
	f.Poll()
	require.Equal(t, "one ten", f.Current())
	require.Equal(t, []error{nil}, f.reports)
}

func TestLastingFailuresAreReported(t *testing.T) {
	f := open(t)
	require.NoError(t, f.Start(t.Context()))
	write(t, f.paths[0], "bad ")
	f.Poll()
	require.Empty(t, f.reports, "a writer may not be done")
	write(t, f.paths[0], "new ")
	f.Poll()
	require.Equal(t, []error{nil}, f.reports)
	require.Equal(t, "new two", f.Current())

	require.NoError(t, os.Remove(f.paths[0]))
	for range 3 {
		f.Poll()
	}
	require.Len(t, f.reports, 2)
	require.ErrorIs(t, f.reports[1], os.ErrNotExist)
	require.Equal(t, "new two", f.Current(), "the current value stays")
}

func TestReload(t *testing.T) {
	f := open(t)
	require.NoError(t, f.Start(t.Context()))
	require.NoError(t, f.Reload(), "unchanged files are read too")
	write(t, f.paths[0], "bad ")
	require.ErrorIs(t, f.Reload(), errBad)
	f.Poll()
	require.Len(t, f.reports, 2, "the same state is not reported again")
	require.NoError(t, f.reports[0])
	require.ErrorIs(t, f.reports[1], errBad)
	require.Equal(t, "one two", f.Current())
}

func TestStartFails(t *testing.T) {
	f := open(t)
	write(t, f.paths[0], "bad ")
	require.ErrorIs(t, f.Start(t.Context()), errBad)
	require.Empty(t, f.reports)
}

func TestWithoutFiles(t *testing.T) {
	v := New(source(func(string) (string, error) { return "", errBad }, "", ""), quiet)
	v.OnReload(func(error) { t.Error("there is nothing to report") })
	require.NoError(t, v.Start(t.Context()))
	require.NoError(t, v.Reload())
	require.Empty(t, v.Current())
	v.Set("text")
	require.Equal(t, "text", v.Current())
	require.NoError(t, v.Close(t.Context()))
}

// Parse gets the current value, and the log says what was loaded, or why not.
func TestParseGetsTheCurrentValue(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "one")
	v := New(source(func(current string) (string, error) {
		if len(current) > 1 {
			return "unused", errBad
		}
		return current + "x", nil
	}, path), slog.New(slog.NewTextHandler(&log, nil)))
	v.Interval = time.Hour
	require.NoError(t, v.Start(t.Context()))
	require.NoError(t, v.Reload())
	require.ErrorIs(t, v.Reload(), errBad)
	require.Equal(t, "xx", v.Current())
	require.Contains(t, log.String(), `level=INFO msg="loaded test texts" component=texts text=xx`)
	require.Contains(t, log.String(), `level=ERROR msg="cannot reload test texts, keeping current ones" component=texts error=bad`)
	require.NoError(t, v.Close(t.Context()))
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
	f := newTexts(t, filepath.Join(dir, "data", "file"))
	require.NoError(t, f.Start(t.Context()))
	require.NoError(t, os.Symlink("v2", filepath.Join(dir, "next")))
	require.NoError(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "data")))
	f.Poll()
	require.Equal(t, "v2", f.Current())
}

// Content that moves from one file to the next is a change.
func TestBoundariesBetweenFiles(t *testing.T) {
	f := open(t)
	require.NoError(t, f.Start(t.Context()))
	write(t, f.paths[0], "one t")
	write(t, f.paths[1], "wo")
	f.Poll()
	require.Equal(t, []error{nil}, f.reports)
}

func TestFilesAreWatched(t *testing.T) {
	var loads atomic.Int64
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "one")
	v := New(source(func(string) (string, error) { loads.Add(1); return "", nil }, path), quiet)
	v.Interval = time.Millisecond
	require.NoError(t, v.Start(t.Context()))
	defer func() { require.NoError(t, v.Close(t.Context())) }()
	write(t, path, "two")
	require.Eventually(t, func() bool { return loads.Load() > 1 }, 30*time.Second, time.Millisecond)
}

// hang returns a Value of a file whose reading hangs until the returned function is
// called.
func hang(t *testing.T) (v *Value[string], reports chan error, release func()) {
	t.Helper()
	path, held := filepath.Join(t.TempDir(), "a"), make(chan struct{})
	write(t, path, "one")
	reports = make(chan error, 10)
	var loads atomic.Int64
	v = New(source(func(string) (string, error) {
		if loads.Add(1) > 1 {
			<-held
		}
		return "", nil
	}, path), quiet)
	v.OnReload(func(err error) { reports <- err })
	v.Interval, v.readTimeout = time.Millisecond, 50*time.Millisecond
	require.NoError(t, v.Start(t.Context()))
	write(t, path, "two")
	return v, reports, sync.OnceFunc(func() { close(held) })
}

// A file system that hangs is reported once, costs one goroutine, and holds up
// neither a reload nor the end; what was read in the end is used.
func TestReadingThatHangs(t *testing.T) {
	v, reports, release := hang(t)
	defer release()
	require.ErrorIs(t, <-reports, errSlow)
	goroutines := runtime.NumGoroutine()
	for range 20 {
		require.ErrorIs(t, v.Reload(), errSlow)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	require.Empty(t, reports, "it is reported once")
	release()
	require.NoError(t, <-reports)
	require.NoError(t, v.Close(t.Context()))
}

func TestCloseDoesNotWaitForAReadingThatHangs(t *testing.T) {
	v, reports, release := hang(t)
	defer release()
	require.ErrorIs(t, <-reports, errSlow)
	require.NoError(t, v.Close(t.Context()))
	require.ErrorIs(t, v.Reload(), errClosed)
}

func TestStartDoesNotWaitForAReadingThatHangs(t *testing.T) {
	held := make(chan struct{})
	defer close(held)
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "one")
	v := New(source(func(string) (string, error) { <-held; return "", nil }, path), quiet)
	v.readTimeout = time.Millisecond
	require.ErrorIs(t, v.Start(t.Context()), errSlow)
}

// A pipe in the place of a file holds nobody up.
func TestPipe(t *testing.T) {
	f := open(t)
	require.NoError(t, f.Start(t.Context()))
	require.NoError(t, os.Remove(f.paths[0]))
	require.NoError(t, syscall.Mkfifo(f.paths[0], 0o600))
	require.ErrorIs(t, f.Reload(), regularfile.ErrNotRegular)
	require.Equal(t, "one two", f.Current())
}

// BenchmarkPoll polls a keys file, a certificate and its key of usual sizes.
func BenchmarkPoll(b *testing.B) {
	dir := b.TempDir()
	var paths []string
	for name, size := range map[string]int{"keys": 4 << 10, "cert": 6 << 10, "key": 2 << 10} {
		paths = append(paths, filepath.Join(dir, name))
		require.NoError(b, os.WriteFile(paths[len(paths)-1], bytes.Repeat([]byte("x"), size), 0o600))
	}
	v := New(source(func(string) (string, error) { return "", nil }, paths...), quiet)
	v.Interval = time.Hour
	require.NoError(b, v.Start(b.Context()))
	for b.Loop() {
		v.Poll()
	}
	require.NoError(b, v.Close(b.Context()))
}
