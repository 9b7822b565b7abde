package modelzoo

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// slow answers the file with a pause before each read.
type slow time.Duration

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ContentLength: size, Request: r,
		Body: io.NopCloser(&slowBody{r, time.Duration(s), bytes.NewReader(content)}),
	}, nil
}

type slowBody struct {
	request *http.Request
	pause   time.Duration
	rest    io.Reader
}

func (b *slowBody) Read(p []byte) (int, error) {
	if err := sleep(b.request.Context(), b.pause); err != nil {
		return 0, err
	}
	return b.rest.Read(p)
}

// What counts is the time without a byte, not the time of the download.
func TestPullSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		z := New(dir, builtin("https://example.org/net.onnx"))
		z.client.Transport = slow(defaultTiming.idle - time.Second)
		begin := time.Now()
		require.NoError(t, z.Pull(t.Context(), "net", nil))
		require.Greater(t, time.Since(begin), defaultTiming.idle)
		require.Equal(t, map[string]int64{"net.onnx": size}, filesIn(t, dir))
	})
}

// A source that falls silent is given up after five attempts with growing pauses.
func TestPullSilentSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := New(t.TempDir(), builtin("https://example.org/net.onnx"))
		z.client.Transport = slow(defaultTiming.idle + time.Second)
		begin := time.Now()
		err := z.Pull(t.Context(), "net", nil)
		require.ErrorIs(t, err, ports.ErrUnavailable)
		require.ErrorIs(t, err, errIdle)
		require.Equal(t, 5*defaultTiming.idle+(1+2+4+8)*time.Second, time.Since(begin))
	})
}

func TestPullCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		z := New(dir, builtin("https://example.org/net.onnx"))
		z.client.Transport = slow(time.Second)
		z.timing.attempts = 1
		ctx, cancel := context.WithCancel(t.Context())
		err := z.Pull(ctx, "net", func(done, _ int64) {
			if done > 0 {
				cancel()
			}
		})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ports.ErrUnavailable)
		require.Equal(t, map[string]int64{"net.onnx.part": bufferSize}, filesIn(t, dir), "for the next pull")
		require.NoError(t, z.Pull(t.Context(), "net", nil))
	})
}

func TestPullCancelledBetweenAttempts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	})
	z := zooOf(t.TempDir(), server.URL)
	z.timing.backoff = time.Hour
	require.ErrorIs(t, z.Pull(ctx, "net", nil), context.Canceled)
}

func TestPullCancelledBefore(t *testing.T) {
	dir, server := filepath.Join(t.TempDir(), "models"), serve(t, whole(content))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, zooOf(dir, server.URL).Pull(ctx, "net", nil), context.Canceled)
	require.Empty(t, server.requests())
	require.NoDirExists(t, dir)
}

// Of many pulls of one file one downloads and all succeed.
func TestPullConcurrently(t *testing.T) {
	const pulls = 8
	dir, server := t.TempDir(), serve(t, breaking(content, 70_000), whole(content))
	failures := make(chan error, pulls)
	for range pulls {
		go func() { failures <- zooOf(dir, server.URL).Pull(t.Context(), "net", nil) }()
	}
	for range pulls {
		require.NoError(t, <-failures)
	}
	require.Equal(t, []string{"", "bytes=70000-"}, server.requests())
	require.Equal(t, map[string]int64{"net.onnx": size}, filesIn(t, dir))
}

// Pulls that all fail wait for each other, too, and leave nothing.
func TestPullConcurrentlyFailing(t *testing.T) {
	const pulls = 8
	dir, server := t.TempDir(), serve(t, whole(bytes.ToUpper(content)))
	failures := make(chan error, pulls)
	for range pulls {
		go func() { failures <- zooOf(dir, server.URL).Pull(t.Context(), "net", nil) }()
	}
	for range pulls {
		require.ErrorIs(t, <-failures, ports.ErrInvalid)
	}
	require.Empty(t, filesIn(t, dir))
}

// A pull that waits for another one ends with its context.
func TestPullWaitsCancellably(t *testing.T) {
	dir, server := t.TempDir(), serve(t, whole(content))
	held, err := openPartial(t.Context(), filepath.Join(dir, "net.onnx"), time.Millisecond)
	require.NoError(t, err)
	t.Cleanup(held.release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	require.ErrorIs(t, zooOf(dir, server.URL).Pull(ctx, "net", nil), context.DeadlineExceeded)
	require.Empty(t, server.requests())
}

// A lock on a file that was renamed meanwhile is no lock on the part.
func TestSameFile(t *testing.T) {
	final := filepath.Join(t.TempDir(), "net.onnx")
	first, err := openPartial(t.Context(), final, time.Millisecond)
	require.NoError(t, err)
	t.Cleanup(first.release)
	require.True(t, sameFile(first.lock, first.file))
	require.NoError(t, first.publish())
	second, err := openPartial(t.Context(), final, time.Millisecond)
	require.NoError(t, err, "the published file is not locked")
	t.Cleanup(second.release)
	require.True(t, sameFile(second.lock, second.file))
	require.False(t, sameFile(first.lock, second.file))
}
