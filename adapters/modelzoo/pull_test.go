package modelzoo

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick loses no time between attempts, and is as patient as needed within one.
var quick = timing{
	attempts: 4, backoff: time.Nanosecond, idle: time.Minute, poll: time.Millisecond,
	pip: pipLimits{idle: time.Minute, total: time.Minute, poll: time.Millisecond},
}

func zooOf(dir string, hosts ...string) *Zoo {
	urls := make([]string, len(hosts))
	for i, host := range hosts {
		urls[i] = host + "/net.onnx"
	}
	z := New(dir, builtin(urls...))
	z.timing = quick
	return z
}

// filesIn returns the files of a folder with their sizes.
func filesIn(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		files[e.Name()] = info.Size()
	}
	return files
}

var size = int64(len(content))

func TestPull(t *testing.T) {
	const some = 70_000 // bytes, more than a buffer
	wrong := bytes.ToUpper(content)
	from := fmt.Sprintf("bytes=%d-", some)
	tests := []struct {
		name    string
		part    []byte // left by an earlier pull
		answers []http.HandlerFunc
		ranges  []string
	}{
		{"new", nil, []http.HandlerFunc{whole(content)}, []string{""}},
		{"unknown length", nil, []http.HandlerFunc{chunked(content)}, []string{""}},
		{"goes on after a break", nil, []http.HandlerFunc{breaking(content, some), whole(content)}, []string{"", from}},
		{"breaks twice", nil, []http.HandlerFunc{breaking(content, some), breaking(content, 1), whole(content)}, []string{"", from, "bytes=70001-"}},
		{"goes on with an earlier part", content[:some], []http.HandlerFunc{whole(content)}, []string{from}},
		{"server without ranges", content[:some], []http.HandlerFunc{rangeless(content)}, []string{from}},
		{"earlier part of something else", wrong[:some], []http.HandlerFunc{whole(content)}, []string{from, ""}},
		{"earlier part is complete", content, []http.HandlerFunc{status(500)}, nil},
		{"earlier part is complete and wrong", wrong, []http.HandlerFunc{whole(content)}, []string{""}},
		{"earlier part is too long", append([]byte("x"), content...), []http.HandlerFunc{whole(content)}, []string{""}},
		{"range not satisfiable", content[:some], []http.HandlerFunc{status(416), whole(content)}, []string{from, ""}},
		{"another range", content[:some], []http.HandlerFunc{partial("bytes 5-10/160003"), whole(content)}, []string{from, ""}},
		{"range of another file", content[:some], []http.HandlerFunc{partial("bytes 70000-160002/170000"), whole(content)}, []string{from, ""}},
		{"range without a header", content[:some], []http.HandlerFunc{partial(""), whole(content)}, []string{from, ""}},
		{"range of unknown length", content[:some], []http.HandlerFunc{unknownLength(content, some)}, []string{from}},
		{"busy at first", nil, []http.HandlerFunc{status(503), status(429), status(408), whole(content)}, []string{"", "", "", ""}},
		{"redirect", nil, []http.HandlerFunc{redirect("/elsewhere"), whole(content)}, []string{"", ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, server := t.TempDir(), serve(t, test.answers...)
			if test.part != nil {
				write(t, dir, "net.onnx.part", test.part)
			}
			var last int64
			err := zooOf(dir, server.URL).Pull(t.Context(), "net", func(done, total int64) {
				require.Equal(t, size, total)
				last = done
			})
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(dir, "net.onnx"))
			require.NoError(t, err)
			require.Equal(t, content, got)
			require.Equal(t, test.ranges, server.requests())
			require.Equal(t, size, last)
			require.Equal(t, map[string]int64{"net.onnx": size}, filesIn(t, dir), "nothing else is left")
		})
	}
}

func TestPullFails(t *testing.T) {
	const some = 70_000
	tests := []struct {
		name     string
		answers  []http.HandlerFunc
		kind     error
		want     string
		left     map[string]int64
		requests int
	}{
		{"wrong content", []http.HandlerFunc{whole(bytes.ToUpper(content))}, ports.ErrInvalid, "it has another SHA-256", nil, 1},
		{"too short", []http.HandlerFunc{whole(content[1:])}, ports.ErrInvalid, "it has 160002 bytes, the manifest says 160003", nil, 1},
		{"too long", []http.HandlerFunc{whole(append(content[:size:size], 'x'))}, ports.ErrInvalid, "it has 160004 bytes, the manifest says 160003", nil, 1},
		{"too long without a length", []http.HandlerFunc{chunked(append(content[:size:size], 'x'))}, ports.ErrInvalid, "it is longer than the 160003 bytes", nil, 1},
		{"too short without a length", []http.HandlerFunc{chunked(content[:some]), status(416), chunked(content[:some])}, ports.ErrUnavailable, "ended after 70000 of 160003 bytes", map[string]int64{"net.onnx.part": some}, 4},
		{"not there", []http.HandlerFunc{status(404)}, ports.ErrNotFound, "not found: the server answered 404 Not Found", nil, 1},
		{"gone", []http.HandlerFunc{status(410)}, ports.ErrNotFound, "410 Gone", nil, 1},
		{"forbidden", []http.HandlerFunc{status(403)}, ports.ErrUnavailable, "the server answered 403 Forbidden", nil, 1},
		{"no content", []http.HandlerFunc{status(204)}, ports.ErrUnavailable, "the server answered 204 No Content", nil, 1},
		{"always busy", []http.HandlerFunc{status(503)}, ports.ErrUnavailable, "the server answered 503 Service Unavailable", nil, 4},
		{"always breaking", []http.HandlerFunc{breaking(content, some), breaking(content, 1)}, ports.ErrUnavailable, "ended after 70003 of 160003 bytes", map[string]int64{"net.onnx.part": some + 3}, 4},
		{"breaks, then is gone", []http.HandlerFunc{breaking(content, some), status(404)}, ports.ErrNotFound, "404", map[string]int64{"net.onnx.part": some}, 2},
		{"redirect to another scheme", []http.HandlerFunc{redirect("ftp://example.org/x?signature=s")}, ports.ErrUnavailable, "redirect refused: it leads to ftp://example.org", nil, 1},
		{"redirect to plain http", []http.HandlerFunc{redirect("http://example.org/x")}, ports.ErrUnavailable, "it leads to http://example.org", nil, 1},
		{"redirects without end", []http.HandlerFunc{redirect("/again")}, ports.ErrUnavailable, "there are more than 5", nil, 6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, server := t.TempDir(), serve(t, test.answers...)
			err := zooOf(dir, server.URL).Pull(t.Context(), "net", nil)
			require.ErrorIs(t, err, test.kind)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "signature")
			require.Len(t, server.requests(), test.requests)
			if test.left == nil {
				test.left = map[string]int64{}
			}
			require.Equal(t, test.left, filesIn(t, dir))
		})
	}
}

func TestPullKeepsWhatIsRight(t *testing.T) {
	dir, server := t.TempDir(), serve(t, status(500))
	write(t, dir, "net.onnx", content)
	calls := 0
	require.NoError(t, zooOf(dir, server.URL).Pull(t.Context(), "net", func(done, total int64) {
		require.Equal(t, []int64{size, size}, []int64{done, total})
		calls++
	}))
	require.Equal(t, 1, calls)
	require.Empty(t, server.requests())
}

func TestPullReplacesWhatIsWrong(t *testing.T) {
	dir, server := t.TempDir(), serve(t, whole(content))
	write(t, dir, "net.onnx", []byte("wrong"))
	z := zooOf(dir, server.URL)
	require.NoError(t, z.Pull(t.Context(), "net", nil))
	require.NoError(t, z.Verify(t.Context(), "net"))
}

// A failed pull leaves the file that is there alone, wrong as it may be.
func TestPullFailureKeepsOldFile(t *testing.T) {
	dir, server := t.TempDir(), serve(t, whole(bytes.ToUpper(content)))
	write(t, dir, "net.onnx", []byte("old"))
	require.ErrorIs(t, zooOf(dir, server.URL).Pull(t.Context(), "net", nil), ports.ErrInvalid)
	require.Equal(t, map[string]int64{"net.onnx": 3}, filesIn(t, dir))
}

func TestPullCreatesFolder(t *testing.T) {
	dir, server := filepath.Join(t.TempDir(), "a", "b"), serve(t, whole(content))
	require.NoError(t, zooOf(dir, server.URL).Pull(t.Context(), "net", nil))
	require.Equal(t, map[string]int64{"net.onnx": size}, filesIn(t, dir))
}

func TestPullWithoutSource(t *testing.T) {
	dir := t.TempDir()
	err := New(dir, builtin()).Pull(t.Context(), "net", nil)
	require.ErrorIs(t, err, ports.ErrInvalid)
	require.EqualError(t, err, "invalid input: the manifest of model net names no source to pull from; put net.onnx into "+dir+" yourself")
	require.ErrorIs(t, New(dir, builtin()).Pull(t.Context(), "other", nil), ports.ErrNotFound)
}

func TestPullUnreachable(t *testing.T) {
	server := serve(t, whole(content))
	server.Close()
	dir := t.TempDir()
	err := zooOf(dir, server.URL).Pull(t.Context(), "net", nil)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorContains(t, err, "modelzoo: pull net: net.onnx, the file of model net, cannot be downloaded; no wrong file was kept\n  "+server.URL+"/net.onnx: dial tcp ")
	require.Empty(t, filesIn(t, dir))
}

// A certificate that is not trusted is no matter of trying again.
func TestPullUntrustedCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(whole(content))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshake fails, as it must
	server.StartTLS()
	t.Cleanup(server.Close)
	z := zooOf(t.TempDir(), server.URL)
	z.timing.backoff = time.Hour
	err := z.Pull(t.Context(), "net", nil)
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.ErrorContains(t, err, "certificate")
}

func TestCheckRedirect(t *testing.T) {
	tests := []struct {
		from, to string
		followed bool
	}{
		{"https://example.org/a", "https://example.net/b", true},
		{"http://127.0.0.1/a", "http://localhost/b", true},
		{"http://127.0.0.1/a", "https://example.org/b", true},
		{"https://example.org/a", "http://example.org/a", false},
		{"https://example.org/a", "http://127.0.0.1/b", false},
		{"https://example.org/a", "https://user@example.org/b", false},
		{"https://example.org/a", "file:///etc/passwd", false},
	}
	for _, test := range tests {
		from := httptest.NewRequest(http.MethodGet, test.from, nil)
		err := checkRedirect(httptest.NewRequest(http.MethodGet, test.to, nil), []*http.Request{from})
		require.Equal(t, test.followed, err == nil, "%s to %s", test.from, test.to)
	}
}

func TestPullIntoUnwritablePlace(t *testing.T) {
	server := serve(t, whole(content))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	err := zooOf(filepath.Join(file, "models"), server.URL).Pull(t.Context(), "net", nil)
	require.Error(t, err)
	require.True(t, strings.HasPrefix(err.Error(), "modelzoo: "), err)
	require.Empty(t, server.requests())
}
