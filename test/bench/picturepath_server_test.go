package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

const benchKey = "bench-key-of-at-least-sixteen-characters"

// running is an imago that serves.
type running struct {
	address string
	pid     int
}

// serve builds imago and runs `imago serve` with the shipped settings over a store
// in memory. It returns once it is ready.
func serve(b *testing.B) running {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "imago")
	require.NoError(b, fixture.Build(binary))
	p := fixture.Serve(b, binary, benchKey)
	require.True(b, fixture.Ready(http.DefaultClient, "http://"+p.Address), "imago does not get ready:\n%s", p.Log)
	return running{p.Address, p.Cmd.Process.Pid}
}

// processorTime returns what the server has used so far: the sum over its threads
// of the first number of /proc/PID/task/TID/schedstat, in nanoseconds.
func (r running) processorTime(b *testing.B) (sum time.Duration) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", r.pid))
	require.NoError(b, err)
	for _, path := range threads {
		var used int64
		if text, err := os.ReadFile(path); err == nil { // else the thread has ended
			_, err = fmt.Sscan(string(text), &used)
			require.NoError(b, err)
		}
		sum += time.Duration(used)
	}
	return sum
}

// ownProcessorTime is that of this process.
func ownProcessorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bodyOf is the body of a request about a picture.
func bodyOf(picture []byte) []byte {
	return []byte(`{"face":"` + base64.StdEncoding.EncodeToString(picture) + `"}`)
}

// searcher makes requests over one connection.
type searcher struct {
	client  *http.Client
	address string
}

func newSearcher(address string) *searcher {
	return &searcher{client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxConnsPerHost: 1}}, address: address}
}

// post makes one request and reads its answer, which is 200 or, where nobody is
// found, 404.
func (s *searcher) post(path string, body []byte) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("x-api-key", benchKey)
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNotFound {
		err = fmt.Errorf("status %d: %s", res.StatusCode, answer)
	}
	return err
}
