package audit

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/config"
	"imago/ports"
)

// started returns a started log and its file.
func started(t *testing.T) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := New(config.Audit{Path: path, Sync: true})
	require.NoError(t, l.Start(t.Context()))
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	return l, path
}

// A line that a full disk cut short is followed by a line of its own.
func TestShortWrite(t *testing.T) {
	l, path := started(t)
	require.NoError(t, l.flush([]byte(`{"cut`)))
	require.NoError(t, l.flush([]byte("{}\n")))
	require.NoError(t, l.flush([]byte("{}\n")))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "{\"cut\n{}\n{}\n", string(data))
}

// All who wait while somebody has the turn share one write, and its failure.
func TestWaitersShareATurn(t *testing.T) {
	l, path := started(t)
	const waiters = 16
	errs := make(chan error, waiters)
	l.writing.Lock()
	for range waiters {
		go func() { errs <- l.Write(ports.AuditEntry{UserID: "u"}) }()
	}
	shared := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.next.lines)
	}
	one, err := encode(ports.AuditEntry{UserID: "u"}, false)
	require.NoError(t, err)
	for shared() < waiters*len(one) { // until every one of them has come
		runtime.Gosched()
	}
	working := l.out
	broken, err := os.Open(path) // for reading only
	require.NoError(t, err)
	l.out = broken
	l.writing.Unlock()
	for range waiters {
		require.ErrorContains(t, <-errs, "audit: write")
	}
	require.NoError(t, l.replace(working, false))

	require.NoError(t, l.Write(ports.AuditEntry{UserID: "v"}), "what comes later is not concerned")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(data), `"user_id":"v"`)
	require.NotContains(t, string(data), `"user_id":"u"`)
}
