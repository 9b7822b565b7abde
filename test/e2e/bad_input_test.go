package e2e

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// Every bad input is answered with a clear 4xx, changes nothing, and leaves the
// server alive and its memory flat.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := start(t)
	good := base64.StdEncoding.EncodeToString(portrait(t))
	cases := []struct {
		name, method, path, body string
		status                   int
		says                     string // part of an error, or of the detail where there are none
	}{
		{"corrupted png", "POST", "/users/x", faceJSON(append([]byte("\x89PNG\r\n\x1a\n\x00"), fixture.ReadPortrait(t, "32bit.png")[8:]...)), 400, "image"},
		{"bmp", "POST", "/users/x", faceJSON([]byte("BM\x8a\x00\x04\x00\x00\x00\x00\x00\x8a\x00\x00\x00")), 400, "only JPEG and PNG"},
		{"gif", "POST", "/users/x", faceJSON([]byte("GIF89a\x00\x01\x00\x01")), 400, "only JPEG and PNG"},
		{"webp", "POST", "/users/x", faceJSON([]byte("RIFF\xec\x34\x00\x00WEBPVP8 ")), 400, "only JPEG and PNG"},
		{"empty png", "POST", "/users/x", faceJSON([]byte("test\n")), 400, "image"},
		{"truncated jpeg", "POST", "/users/x", faceJSON(fixture.Truncated(t)), 400, "damaged"},
		{"png bomb", "POST", "/users/x", faceJSON(pngBomb(60000, 60000)), 413, "60000"},
		{"png that declares nothing", "POST", "/users/x", faceJSON(pngBomb(0, 10)), 400, "no pixels"},
		{"empty body", "POST", "/users/x", "", 400, "body"},
		{"not JSON", "POST", "/users/x", "face=" + good, 400, "JSON"},
		{"UTF-16", "POST", "/users/x", "\xff\xfe{\x00}\x00", 400, "send it in UTF-8"},
		{"tracking that is no object", "POST", "/users/x", `{"face":"` + good + `","tracking":"a"}`, 400, "tracking must be an object"},
		{"tracking without end", "POST", "/users/search", `{"face":"` + good + `","tracking":{"a":"` + strings.Repeat("x", 2000) + `"}}`, 400, "1024 bytes"},
		{"an array", "POST", "/users/x", "[]", 400, "object"},
		{"a number for a face", "POST", "/users/x", `{"face":5}`, 400, "face"},
		{"null for a face", "POST", "/users/x", `{"face":null}`, 400, "face is required"},
		{"no face", "POST", "/users/x", `{}`, 400, "face"},
		{"empty face", "POST", "/users/x", `{"face":""}`, 400, "face"},
		{"not base64", "POST", "/users/x", `{"face":"@@@@"}`, 400, "base64"},
		{"unknown field", "POST", "/users/search", `{"face":"` + good + `","treshold":99}`, 400, "treshold"},
		{"threshold at enrolment", "POST", "/users/x", `{"face":"` + good + `","threshold":99}`, 400, "threshold"},
		{"text for a threshold", "POST", "/users/search", `{"face":"` + good + `","threshold":"80"}`, 400, "threshold"},
		{"threshold too high", "POST", "/users/search", `{"face":"` + good + `","threshold":100.01}`, 400, "threshold"},
		{"threshold below zero", "POST", "/users/search", `{"face":"` + good + `","threshold":-1}`, 400, "threshold"},
		{"NaN threshold", "POST", "/users/search", `{"face":"` + good + `","threshold":NaN}`, 400, "JSON"},
		{"huge threshold", "POST", "/users/search", `{"face":"` + good + `","threshold":1e999}`, 400, "threshold"},
		{"limit zero", "POST", "/users/search", `{"face":"` + good + `","limit":0}`, 400, "limit"},
		{"limit too high", "POST", "/users/search", `{"face":"` + good + `","limit":101}`, 400, "limit"},
		{"fractional limit", "POST", "/users/search", `{"face":"` + good + `","limit":1.5}`, 400, "limit"},
		{"6 MB image", "POST", "/users/x", faceJSON(make([]byte, 6<<20)), 413, "5 MB"},
		{"just over 5 MB", "POST", "/users/x", faceJSON(make([]byte, 5<<20+1)), 413, "5 MB"},
		{"300 bytes of ID", "POST", "/users/" + strings.Repeat("a", 300), `{"face":"` + good + `"}`, 400, "userId"},
		{"control character", "POST", "/users/a%00b", `{"face":"` + good + `"}`, 400, "userId"},
		{"invalid UTF-8", "POST", "/users/a%ffb", `{"face":"` + good + `"}`, 400, "userId"},
		{"a list's name as an ID", "POST", "/users/blacklist", `{"face":"` + good + `"}`, 400, "reserved"},
		{"search as an ID of a list", "DELETE", "/users/blacklist/search", "", 405, ""},
		{"search as an ID", "DELETE", "/users/search", "", 405, ""},
		{"unknown list", "POST", "/users/nolist/x", `{"face":"` + good + `"}`, 404, `there is no list "nolist"`},
		{"unknown path", "GET", "/nothing", "", 404, "there is no such path"},
		{"wrong method", "PATCH", "/users/x", "", 405, ""},
	}
	before := s.rss()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := s.call(t.Context(), c.method, c.path, c.body)
			require.NoError(t, err)
			require.Equal(t, c.status, a.status, a.body)
			p := a.problem(t)
			require.Contains(t, strings.Join(append(p.Errors, p.Detail), "\n"), c.says)
			require.Less(t, len(a.body), 2000)
		})
	}
	require.Less(t, s.peakRSS()-before, int64(200<<20), "memory stays flat")
	require.Equal(t, notFound, s.search(portrait(t)).body, "nothing was enrolled")
	require.Equal(t, http.StatusOK, s.enrol("alive", portrait(t)).status)
}

func TestAwkwardUserIDs(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, id := range []string{
		`a"b`, `a'b`, `a\b`, "a/b", "a%2Fb", "50%", "..", ".", "🙂", "日本語", "a b", "a?b", "a#b", "a;b=c", "a+b", "Searching", strings.Repeat("é", 128),
	} {
		require.Equal(t, http.StatusOK, s.enrol(id, portrait(t)).status, "%q", id)
		found := s.search(portrait(t)).matches(t)
		require.Len(t, found, 1, "%q", id)
		require.Equal(t, id, found[0].UserID)
		require.Equal(t, http.StatusOK, s.unenrol(id).status, "%q", id)
	}
}

// A body without end is cut off at the limit: the server answers 413 without
// having read much more than that.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	s := start(t)
	endless := &counter{}
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/users/x", io.MultiReader(strings.NewReader(`{"face":"`), endless))
	require.NoError(t, err)
	req.Header.Set("x-api-key", apiKey)
	req.Header.Set("Content-Type", "application/json")
	a, err := s.do(req)
	if err == nil { // the connection may be reset before the answer is read
		require.Equal(t, http.StatusRequestEntityTooLarge, a.status, a.body)
	}
	require.Less(t, endless.read.Load(), int64(32<<20))
	require.Equal(t, http.StatusOK, s.must("GET", "/readyz", "").status)
}

// counter is a reader of endless base64.
type counter struct{ read atomic.Int64 }

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	c.read.Add(int64(len(p)))
	return len(p), nil
}

// pngBomb is a small PNG that declares a huge picture.
func pngBomb(width, height uint32) []byte {
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	return pngOf(width, height, 8, 2, data.Bytes())
}

// pngOf is a PNG of the given sides, bits and colour type with some compressed data.
func pngOf(width, height uint32, bits, colour byte, data []byte) []byte {
	var header [13]byte
	binary.BigEndian.PutUint32(header[0:], width)
	binary.BigEndian.PutUint32(header[4:], height)
	header[8], header[9] = bits, colour
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, c := range []struct {
		kind string
		data []byte
	}{{"IHDR", header[:]}, {"IDAT", data}, {"IEND", nil}} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(c.data)))
		body := append([]byte(c.kind), c.data...)
		out = append(out, body...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
	}
	return out
}
