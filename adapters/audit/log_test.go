package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/adapters/audit"
	"imago/config"
	"imago/ports"
)

var entry = ports.AuditEntry{
	Time:  time.Date(2026, 1, 2, 4, 4, 5, 678_000_000, time.FixedZone("CET", 3600)),
	Phase: "outcome", RequestID: "id-1", Client: "gateway", Address: "192.0.2.1",
	Operation: "enrol", Collection: "users", UserID: "u1", Status: 200, Faces: 1, Duration: 25465 * time.Microsecond,
}

// open returns a started log and its file.
func open(t testing.TB, change func(*config.Audit)) (*audit.Log, string) {
	t.Helper()
	cfg := config.Audit{Path: filepath.Join(t.TempDir(), "audit.log"), Matches: true}
	if change != nil {
		change(&cfg)
	}
	l := audit.New(cfg)
	require.NoError(t, l.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, l.Close(t.Context())) })
	return l, cfg.Path
}

// lines reads a file and requires that each of its lines is JSON.
func lines(t testing.TB, path string) (all []map[string]any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range bytes.Lines(data) {
		require.True(t, bytes.HasSuffix(line, []byte("\n")), "%s", line)
		var one map[string]any
		require.NoError(t, json.Unmarshal(line, &one), "%s", line)
		all = append(all, one)
	}
	return all
}

func TestLine(t *testing.T) {
	l, path := open(t, nil)
	require.NoError(t, l.Write(entry))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, `{"time":"2026-01-02T03:04:05.678Z","phase":"outcome","request_id":"id-1","client":"gateway",`+
		`"address":"192.0.2.1","operation":"enrol","collection":"users","user_id":"u1","status":200,"faces":1,"duration_ms":25.465}`+"\n", string(data))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestSearchLine(t *testing.T) {
	e := entry
	e.Operation, e.UserID, e.Faces, e.TraceID = "search", "", 0, "trace-1"
	e.Threshold, e.Limit, e.Purpose = 75.5, 10, "closest"
	e.Matches = []ports.AuditMatch{{UserID: "u1", Similarity: 99.5}, {Similarity: 80}}
	for _, matches := range []bool{true, false} {
		l, path := open(t, func(c *config.Audit) { c.Matches = matches })
		require.NoError(t, l.Write(e))
		want := map[string]any{"threshold": 75.5, "limit": 10.0, "purpose": "closest", "match_count": 2.0}
		if matches {
			want["matches"] = []any{map[string]any{"user_id": "u1", "similarity": 99.5}, map[string]any{"similarity": 80.0}}
		}
		require.Equal(t, want, lines(t, path)[0]["search"])
		require.Equal(t, "trace-1", lines(t, path)[0]["trace_id"])
	}
}

// What a client writes stays within its string, and is bounded.
func TestNamesAreData(t *testing.T) {
	l, path := open(t, nil)
	hostile := []string{
		"a\"b", "a\\b", "a\nb", "a\r\n{\"status\":200}", "\x00\x1b[31m", "</script>", "a\u2028b", "50%", "日本",
	}
	for _, id := range hostile {
		e := entry
		e.UserID, e.Collection = id, id
		require.NoError(t, l.Write(e))
	}
	long := entry
	long.UserID = strings.Repeat("é", 10_000)
	require.NoError(t, l.Write(long))
	invalid := entry
	invalid.UserID = "a\xffb"
	require.NoError(t, l.Write(invalid))

	all := lines(t, path)
	require.Len(t, all, len(hostile)+2)
	for i, id := range hostile {
		require.Equal(t, id, all[i]["user_id"])
		require.Equal(t, id, all[i]["collection"])
		require.Equal(t, 200.0, all[i]["status"])
	}
	require.Equal(t, strings.Repeat("é", 128)+"…", all[len(hostile)]["user_id"])
	require.Equal(t, "a\ufffdb", all[len(hostile)+1]["user_id"])
}

func TestLinesAreAppended(t *testing.T) {
	l, path := open(t, nil)
	require.NoError(t, l.Write(entry))
	again := audit.New(config.Audit{Path: path})
	require.NoError(t, again.Start(t.Context()))
	require.NoError(t, again.Write(entry))
	require.NoError(t, l.Write(entry))
	require.NoError(t, again.Close(t.Context()))
	require.Len(t, lines(t, path), 3)
}

// As logrotate does it: the file is renamed, then the log told.
func TestReload(t *testing.T) {
	l, path := open(t, func(c *config.Audit) { c.Sync = true })
	require.NoError(t, l.Write(entry))
	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, l.Write(entry))
	require.NoError(t, l.Reload())
	require.NoError(t, l.Write(entry))
	require.Len(t, lines(t, path+".1"), 2)
	require.Len(t, lines(t, path), 1)
}

func TestReloadThatFailsKeepsTheFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	require.NoError(t, os.Mkdir(dir, 0o700))
	l, path := open(t, func(c *config.Audit) { c.Path = filepath.Join(dir, "audit.log") })
	require.NoError(t, os.Rename(dir, dir+".1"))
	require.ErrorIs(t, l.Reload(), os.ErrNotExist)
	require.NoError(t, l.Write(entry))
	require.Len(t, lines(t, filepath.Join(dir+".1", filepath.Base(path))), 1)
}

// No line is lost or split while files are changed under many writers.
func TestWritersAndReloads(t *testing.T) {
	for _, durable := range []bool{false, true} {
		l, path := open(t, func(c *config.Audit) { c.Sync = durable })
		const writers, each, reloads = 8, 50, 10
		errs := make(chan error, writers*each+2*reloads)
		var wait sync.WaitGroup
		for w := range writers {
			wait.Go(func() {
				for i := range each {
					e := entry
					e.UserID = fmt.Sprintf("%d-%d", w, i)
					errs <- l.Write(e)
				}
			})
		}
		wait.Go(func() {
			for i := range reloads {
				errs <- os.Rename(path, fmt.Sprintf("%s.%d", path, i))
				errs <- l.Reload()
			}
		})
		wait.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		files, err := filepath.Glob(path + "*")
		require.NoError(t, err)
		require.Len(t, files, reloads+1)
		seen := map[any]bool{}
		for _, file := range files {
			for _, line := range lines(t, file) {
				seen[line["user_id"]] = true
			}
		}
		require.Len(t, seen, writers*each)
	}
}

// A process that was killed in the middle of a line leaves no more than that
// line broken.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte(`{"time":"2026`), 0o600))
	l, _ := open(t, func(c *config.Audit) { c.Path = path })
	require.NoError(t, l.Write(entry))
	require.NoError(t, l.Write(entry))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	all := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	require.Len(t, all, 3)
	require.Equal(t, `{"time":"2026`, all[0])
	require.True(t, json.Valid([]byte(all[1])) && json.Valid([]byte(all[2])))
}

func TestWriteFails(t *testing.T) {
	l := audit.New(config.Audit{Path: filepath.Join(t.TempDir(), "audit.log")})
	require.ErrorIs(t, l.Write(entry), audit.ErrClosed, "before it is started")
	require.NoError(t, l.Start(t.Context()))
	require.NoError(t, l.Close(t.Context()))
	require.ErrorIs(t, l.Write(entry), audit.ErrClosed)
	require.NoError(t, l.Close(t.Context()))

	full, _ := open(t, func(c *config.Audit) { c.Path = "/dev/full" })
	require.ErrorContains(t, full.Write(entry), "no space left")
	missing := audit.New(config.Audit{Path: filepath.Join(t.TempDir(), "no", "audit.log")})
	require.ErrorIs(t, missing.Start(t.Context()), os.ErrNotExist)
}

// A device cannot be brought to disk: who wants lines to be there is told at once.
func TestSyncNeedsAFile(t *testing.T) {
	l := audit.New(config.Audit{Path: "/dev/null", Sync: true})
	require.ErrorContains(t, l.Start(t.Context()), "audit.sync")
	l = audit.New(config.Audit{Path: "/dev/null"})
	require.NoError(t, l.Start(t.Context()))
	require.NoError(t, l.Write(entry))
	require.NoError(t, l.Close(t.Context()))
}

// A pipe that nobody reads would hold up every answer.
func TestPipesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	require.ErrorContains(t, audit.New(config.Audit{Path: path}).Start(t.Context()), "- is for standard output")
	path = filepath.Join(t.TempDir(), "log")
	l := audit.New(config.Audit{Path: path})
	require.NoError(t, l.Start(t.Context()))
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	require.Error(t, l.Reload())
	require.NoError(t, l.Write(entry), "the file in use stays")
	require.NoError(t, l.Close(t.Context()))
}

// A log that others could read is closed to them, at the start and after it was
// rotated.
func TestOthersMayNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	public := func() {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chmod(path, 0o664))
	}
	requireClosed := func() {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	public()
	l := audit.New(config.Audit{Path: path})
	require.NoError(t, l.Start(t.Context()))
	requireClosed()
	require.NoError(t, os.Rename(path, path+".1"))
	public()
	require.NoError(t, l.Reload())
	requireClosed()
	require.NoError(t, l.Close(t.Context()))
}

// On standard output there is nothing to bring to disk or to close.
func TestStdout(t *testing.T) {
	l := audit.New(config.Audit{Path: audit.Standard, Sync: true})
	require.NoError(t, l.Start(t.Context()))
	require.NoError(t, l.Reload())
	require.NoError(t, l.Close(t.Context()))
	_, err := os.Stdout.Stat()
	require.NoError(t, err)
}

func TestOff(t *testing.T) {
	l := audit.New(config.Audit{Sync: true, Required: true})
	require.NoError(t, l.Start(t.Context()))
	require.NoError(t, l.Write(entry))
	require.NoError(t, l.Reload())
	require.NoError(t, l.Close(t.Context()))
}

func TestModule(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var l *audit.Log
	app := fxtest.New(t, audit.Module, fx.NopLogger, fx.Supply(config.Audit{Path: path}), fx.Populate(&l))
	app.RequireStart()
	require.NoError(t, l.Write(entry))
	app.RequireStop()
	require.ErrorIs(t, l.Write(entry), audit.ErrClosed)
	require.Len(t, lines(t, path), 1)
}

func BenchmarkWrite(b *testing.B) {
	for _, durable := range []bool{false, true} {
		for _, callers := range []int{1, 32} {
			b.Run(fmt.Sprintf("sync=%t/callers=%d", durable, callers), func(b *testing.B) {
				l, _ := open(b, func(c *config.Audit) { c.Sync = durable })
				b.SetParallelism(max(1, callers/2))
				b.ReportAllocs()
				if callers == 1 {
					for b.Loop() {
						_ = l.Write(entry)
					}
					return
				}
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						_ = l.Write(entry)
					}
				})
			})
		}
	}
}
