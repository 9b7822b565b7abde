package modelzoo

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
)

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	server := serve(t, whole(content))
	server.Close()
	return server.URL
}

// The first source that has the file is the one; those before it leave nothing behind.
func TestPullTriesSourcesInOrder(t *testing.T) {
	tests := []struct {
		name     string
		first    http.HandlerFunc
		requests int
		resumed  string
	}{
		{"not there", status(404), 1, ""},
		{"forbidden", status(403), 1, ""},
		{"another file", whole(bytes.ToUpper(content)), 1, ""},
		{"another size", whole(content[1:]), 1, ""},
		{"always busy", status(503), 4, ""},
		{"breaks off, then is gone", breaking(content, 70_000), 4, "bytes=160002-"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			first, second, third := serve(t, test.first), serve(t, whole(content)), serve(t, whole(content))
			if test.resumed != "" {
				first = serve(t, breaking(content, 160_000), breaking(content, 1), breaking(content, 1), status(404))
			}
			dir := t.TempDir()
			require.NoError(t, zooOf(dir, first.URL, second.URL, third.URL).Pull(t.Context(), "net", nil))
			require.Equal(t, map[string]int64{"net.onnx": size}, filesIn(t, dir))
			require.Len(t, first.requests(), test.requests)
			require.Equal(t, []string{test.resumed}, second.requests(), "what one source has brought the next one continues")
			require.Empty(t, third.requests())
		})
	}
}

// A host that cannot be reached costs no pause as long as there is another source.
func TestPullLeavesUnreachableHostsAtOnce(t *testing.T) {
	second := serve(t, whole(content))
	z := zooOf(t.TempDir(), closed(t), second.URL)
	z.timing.backoff = 24 * time.Hour
	require.NoError(t, z.Pull(t.Context(), "net", nil))
	require.Len(t, second.requests(), 1)
}

// unreachableFirst fails the first round trips as a name that is not known yet does.
type unreachableFirst struct {
	failures int
	calls    []string
}

func (u *unreachableFirst) RoundTrip(r *http.Request) (*http.Response, error) {
	u.calls = append(u.calls, r.URL.Host)
	if len(u.calls) <= u.failures {
		return nil, errors.New("dial tcp: lookup " + r.URL.Host + ": no such host")
	}
	return slow(0).RoundTrip(r)
}

// When no source could be reached all get another turn, after a pause.
func TestPullTriesUnreachableHostsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &unreachableFirst{failures: 3}
		z := New(t.TempDir(), builtin("https://a.example.org/x", "https://b.example.org/x"))
		z.client.Transport = network
		begin := time.Now()
		require.NoError(t, z.Pull(t.Context(), "net", nil))
		require.Equal(t, []string{"a.example.org", "b.example.org", "a.example.org", "b.example.org"}, network.calls)
		require.Equal(t, time.Second, time.Since(begin))
	})
}

// A name that cannot be looked up is tried again even when every other source has
// failed for good, and given up after a few turns.
func TestPullGivesUnreachableHostsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &unreachableFirst{failures: 1000}
		z := New(t.TempDir(), builtin("https://a.example.org/x"))
		z.client.Transport = network
		begin := time.Now()
		require.ErrorIs(t, z.Pull(t.Context(), "net", nil), ports.ErrUnavailable)
		require.Len(t, network.calls, defaultTiming.attempts)
		require.Equal(t, (1+2+4+8)*time.Second, time.Since(begin))
	})
}

// What failed is told for each source in one line, and the kind fits all together.
func TestPullTellsOfEverySource(t *testing.T) {
	tests := []struct {
		name          string
		first, second http.HandlerFunc
		kind          error
	}{
		{"none has it", status(404), status(410), ports.ErrNotFound},
		{"one has another", status(404), whole(content[1:]), ports.ErrInvalid},
		{"one is busy", status(503), whole(content[1:]), ports.ErrUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			first, second := serve(t, test.first), serve(t, test.second)
			z := zooOf(t.TempDir(), first.URL, second.URL)
			z.builtin = builtin(first.URL+"/a?signature=s", second.URL+"/b")
			err := z.Pull(t.Context(), "net", nil)
			for _, kind := range []error{ports.ErrNotFound, ports.ErrInvalid, ports.ErrUnavailable} {
				require.Equal(t, kind == test.kind, errors.Is(err, kind), kind)
			}
			require.Regexp(t, `^modelzoo: pull net: net\.onnx, the file of model net, cannot be downloaded; no wrong file was kept\n  `+
				first.URL+`/a: [^\n]+\n  `+second.URL+`/b: [^\n]+$`, err.Error())
			require.NotContains(t, err.Error(), "signature")
		})
	}
}

func TestOneLine(t *testing.T) {
	require.Equal(t, "a b c ?", oneLine(" a\n b\x00\tc \xff", 20))
	require.Equal(t, "ä …", oneLine("ääää", 3))
}
