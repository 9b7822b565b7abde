package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mutations returns how many mutated requests are sent: IMAGO_TORTURE_REQUESTS, or
// a few.
func mutations(t *testing.T) int {
	t.Helper()
	set := os.Getenv("IMAGO_TORTURE_REQUESTS")
	if set == "" {
		return 1500
	}
	n, err := strconv.Atoi(set)
	require.NoError(t, err)
	return n
}

// Requests that are nearly right are answered with what was wrong, whatever it
// is: no failure, no crash, no leak.
func TestMutatedRequests(t *testing.T) {
	t.Parallel()
	n := mutations(t)
	s := start(t, "IMAGO_STORE_MEMORY_PATH="+filepath.Join(t.TempDir(), "imago.db"),
		"IMAGO_INFERENCE_REFINE=false", "IMAGO_INFERENCE_DETECT_SIZES=160", "IMAGO_SERVER_TIMEOUTS_BODY=1s", "IMAGO_SERVER_TIMEOUTS_HEADER=500ms")
	// The time for the header is this client's too.
	enrolAlice := func() bool {
		a, err := s.call(t.Context(), "POST", "/users/alice", faceJSON(portrait(t)))
		return err == nil && a.status == http.StatusOK
	}
	require.Eventually(t, enrolAlice, callTimeout, time.Second)
	valid := validRequests(t)

	x := &mutation{address: strings.TrimPrefix(s.url, "http://"), statuses: map[int]int{}}
	x.send(valid, n/5, 1) // as warm as it gets
	warm := s.rss()
	x.send(valid, n-n/5, 2)

	t.Logf("%d mutated requests: %v; resident memory %d MiB after the first fifth, %d MiB at the end, %d MiB at the peak",
		n, x.summary(), warm>>20, s.rss()>>20, s.peakRSS()>>20)
	for status, count := range x.statuses {
		if status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported {
			t.Errorf("%d answers of status %d", count, status)
		}
	}
	for _, f := range x.failures {
		t.Error(f)
	}
	require.Less(t, s.rss(), warm+96<<20)
	require.Eventually(t, func() bool {
		_, err := s.call(t.Context(), "DELETE", "/users/alice", "")
		return err == nil
	}, callTimeout, time.Second)
	require.Eventually(t, enrolAlice, callTimeout, time.Second)
	require.NotContains(t, s.log.String(), "panic")
}

// validRequests are what mutations begin with, as bytes on the wire.
func validRequests(t *testing.T) [][]byte {
	t.Helper()
	face := faceJSON(portrait(t))
	var all [][]byte
	for _, r := range []struct{ method, path, body string }{
		{"POST", "/users/alice", face},
		{"POST", "/users/blacklist/mallory", face},
		{"POST", "/users/search", strings.TrimSuffix(face, "}") + `,"threshold": 75.5, "limit": 10, "tracking": {"a": [1, null]},}`},
		{"PUT", "/users/alice", face},
		{"POST", "/users/alice/faces", face},
		{"POST", "/faces/detect", face},
		{"DELETE", "/users/mallory", ""},
		{"GET", "/users?limit=2&cursor=", ""},
		{"GET", "/users/%61lice", ""},
		{"GET", "/readyz", ""},
		{"GET", "/openapi.yaml", ""},
	} {
		all = append(all, fmt.Appendf(nil,
			"%s %s HTTP/1.1\r\nHost: imago\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nAccept: */*\r\nX-Request-Id: a-1\r\nContent-Length: %d\r\n\r\n%s",
			r.method, r.path, apiKey, len(r.body), r.body))
	}
	return all
}

// mutation sends requests and counts answers.
type mutation struct {
	address  string
	mu       sync.Mutex
	statuses map[int]int // 0 for none
	failures []string
}

func (x *mutation) send(valid [][]byte, n int, seed uint64) {
	const senders = 4
	var all sync.WaitGroup
	for sender := range senders {
		random := rand.New(rand.NewPCG(seed, uint64(sender)))
		all.Go(func() {
			for i := sender; i < n; i += senders {
				x.one(mutate(random, valid[random.IntN(len(valid))]))
			}
		})
	}
	all.Wait()
}

// one sends bytes on a connection of their own and looks at the answers.
func (x *mutation) one(request []byte) {
	status, err := converse(x.address, request)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.statuses[status]++
	if err != nil && len(x.failures) < 10 {
		x.failures = append(x.failures, fmt.Sprintf("%v, after %.200q", err, request))
	}
}

// converse returns the status of the first answer, 0 when the server hung up
// without one. An answer that is no HTTP, or none within a while, is an error.
func converse(address string, request []byte) (int, error) {
	conn, err := net.DialTimeout("tcp", address, callTimeout)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return 0, err
	}
	// The server may have heard enough before everything is sent.
	_, _ = conn.Write(request)
	reader := bufio.NewReader(conn)
	if _, err := reader.Peek(1); err != nil {
		return 0, unlessReset(err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, unlessReset(err)
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, unlessReset(err)
}

var contentLength = regexp.MustCompile(`Content-Length: \d+`)

// unlessReset forgives a connection that ends: a server that has heard enough of
// what is not even HTTP hangs up on the rest.
func unlessReset(err error) error {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// mutate returns a damaged copy. Most of them keep the length of the body right, so
// that the damage gets as far as possible.
func mutate(random *rand.Rand, request []byte) []byte {
	head, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	if len(body) > 0 && random.IntN(4) > 0 {
		body = damage(random, body)
		line := contentLength.ReplaceAll(head, fmt.Appendf(nil, "Content-Length: %d", len(body)))
		return slices.Concat(line, []byte("\r\n\r\n"), body)
	}
	if random.IntN(2) == 0 {
		return slices.Concat(damage(random, head), []byte("\r\n\r\n"), body)
	}
	return damage(random, request)
}

// damage does one to three things to bytes.
func damage(random *rand.Rand, data []byte) []byte {
	data = slices.Clone(data)
	for range 1 + random.IntN(3) {
		if len(data) == 0 {
			return data
		}
		at := random.IntN(len(data))
		// What stands at the ends means more than what is in the picture.
		if random.IntN(2) == 0 {
			at = random.IntN(min(len(data), 120))
		}
		end := min(len(data), at+1+random.IntN(40))
		switch random.IntN(8) {
		case 0:
			data[at] ^= 1 << random.IntN(8)
		case 1:
			data[at] = byte(random.IntN(256))
		case 2:
			data = slices.Delete(data, at, end)
		case 3:
			data = slices.Insert(data, at, slices.Clone(data[at:end])...)
		case 4:
			data = data[:at]
		case 5:
			data = slices.Insert(data, at, []byte(tokens[random.IntN(len(tokens))])...)
		case 6:
			copy(data[at:end], bytes.Repeat([]byte{byte(random.IntN(256))}, end-at))
		case 7:
			other := random.IntN(len(data))
			data[at], data[other] = data[other], data[at]
		}
	}
	return data
}

// tokens are what means something to somebody on the way.
var tokens = []string{
	`"`, `\`, `{`, `}`, `[[[[[[[[`, `null`, `-1`, `1e999`, `101`, `NaN`, `,"limit":0`, `,"threshold":"80"`, `"face":"",`, `"face":[],`, "\x00", "\xff\xfe",
	"\r\n", "\r\nTransfer-Encoding: chunked", "\r\nContent-Length: 5", "\r\nExpect: 100-continue", "%2F", "%00", "..", "//", "?", "#", "HTTP/1.0",
	"/9j/4AAQSkZJRg", "iVBORw0KGgo", "data:image/png;base64,", "eyJhbGciOiJkaXIifQ..a.b.c", strings.Repeat("A", 5000), strings.Repeat("[", 3000),
}

func (x *mutation) summary() string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(x.statuses)) {
		parts = append(parts, fmt.Sprintf("%d: %d", status, x.statuses[status]))
	}
	return strings.Join(parts, ", ")
}
