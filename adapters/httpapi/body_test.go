package httpapi_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/core/gallery"
	"imago/ports"
)

func TestFaceForms(t *testing.T) {
	std, url := encoded(), base64.URLEncoding.EncodeToString(picture)
	require.Regexp(t, `[+/]`, std)
	require.Regexp(t, `[-_]`, url)
	require.True(t, strings.HasSuffix(std, "="))
	for name, text := range map[string]string{
		"standard":             std,
		"standard, unpadded":   strings.TrimRight(std, "="),
		"URL-safe":             url,
		"URL-safe, unpadded":   strings.TrimRight(url, "="),
		"data URL":             "data:image/jpeg;base64," + std,
		"data URL, parameters": "DATA:Image/png;name=a.png;Base64," + url,
		"data URL, any type":   "data:application/octet-stream;base64," + std,
		"data URL, no type":    "data:;base64," + std,
		"data URL, all types":  "data:*/*;base64," + std,
		"data URL, image/jpg":  "data:image/jpg;base64," + std,
		"data URL, text":       "data:text/plain;charset=utf-8;base64," + std,
		"data URL, charset":    "data:image/jpeg;charset=utf-8;BASE64," + url,
		"data URL, spaces":     "data:image/jpeg; base64 , " + std,
		"escaped slash":        strings.ReplaceAll(std, "/", `\/`),
		"escaped plus":         strings.NewReplacer("+", `\u002B`, "=", `\u003d`).Replace(std),
		"escaped line breaks":  std[:4] + `\r\n` + std[4:] + `\n`,
		"raw line breaks":      std[:4] + "\r\n" + std[4:] + "\n",
		"spaces and tabs":      " " + std[:1] + " \t " + std[1:] + "  ",
		"space in the padding": strings.ReplaceAll(std, "=", " = "),
		"space, then data URL": "\n data:image/jpeg;base64,\n" + std,
	} {
		t.Run(name, func(t *testing.T) {
			var got []byte
			g := &fakeGallery{enrol: func(_ context.Context, _ ports.Client, _, _ string, p []byte) error {
				got = append(got, p...)
				return nil
			}}
			r := do(handler(g), request("POST", "/users/u1", `{"face":"`+text+`"}`))
			require.Equal(t, http.StatusOK, r.StatusCode)
			require.Equal(t, picture, got)
		})
	}
}

func TestBadRequests(t *testing.T) {
	const badBase64, badJSON = "face is not valid base64", "the request body is not valid JSON"
	const wide = "the request body is in UTF-16 or UTF-32: send it in UTF-8"
	long := strings.Repeat("ü", 100)
	for _, tt := range []struct {
		body string
		want []string
	}{
		{" ", []string{"the request body is empty: send a JSON object"}},
		{"[]", []string{"the request body must be a JSON object"}},
		{"null", []string{"the request body must be a JSON object"}},
		{`"face"`, []string{"the request body must be a JSON object"}},
		{"face=abc", []string{"the request body must be a JSON object"}},
		{"\ufeff{}", []string{"face is required"}},
		{"\ufeff", []string{"the request body is empty: send a JSON object"}},
		{"\ufeff[]", []string{"the request body must be a JSON object"}},
		{"\ufeff\ufeff{}", []string{"the request body must be a JSON object"}},
		{" \ufeff{}", []string{"the request body must be a JSON object"}},
		{"\ufeff{,}", []string{badJSON + " at byte 5"}},
		{"{}\ufeff", []string{"the request body must be one JSON object and nothing else"}},
		{"\xff\xfe{\x00}\x00", []string{wide}},
		{"\xfe\xff\x00{\x00}", []string{wide}},
		{"{\x00}\x00", []string{wide}},
		{"\x00{\x00}", []string{wide}},
		{"\x00\x00\x00{\x00\x00\x00}", []string{wide}},
		{"\xff\xfe\x00\x00{\x00\x00\x00", []string{wide}},
		{"{\"face\":\"\xff\"}", []string{"the request body is not valid UTF-8"}},
		{"{}", []string{"face is required"}},
		{`{"Face":"QUJD"}`, []string{`unknown field "Face"`, "face is required"}},
		{`{"face":"QUJD","treshold":75}`, []string{`unknown field "treshold"`}},
		{`{"face":"QUJD","` + long + `":1}`, []string{`unknown field "` + long[:128] + `…"`}},
		{`{"face":"QUJD","a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}`, []string{
			`unknown field "a"`, `unknown field "b"`, `unknown field "c"`, `unknown field "d"`,
			`unknown field "e"`, `unknown field "f"`, `unknown field "g"`, `unknown field "h"`,
		}},
		{`{"face":"QUJD","face":"QUJD"}`, []string{`duplicate field "face"`}},
		{`{"face":"QUJD","f\u0061ce":"QUJD"}`, []string{`duplicate field "face"`}},
		{`{"face":"QUJD","threshold":1,"threshold":1}`, []string{`duplicate field "threshold"`}},
		{`{"face":1}`, []string{"face must be a string"}},
		{`{"face":null}`, []string{"face is required"}},
		{`{"face":null,"face":"QUJD"}`, []string{`duplicate field "face"`}},
		{`{"face":"QUJD","face":null}`, []string{`duplicate field "face"`}},
		{`{"face":"QUJD","nothing":null}`, []string{`unknown field "nothing"`}},
		{`{"face":nil}`, []string{badJSON}},
		{`{"face":"QUJD","threshold":NULL}`, []string{badJSON}},
		{`{"face":["QUJD"]}`, []string{"face must be a string"}},
		{`{"face":""}`, []string{"face must not be empty"}},
		{`{"face":" \n"}`, []string{"face must not be empty"}},
		{`{"face":"data:image/png;base64,"}`, []string{"face must not be empty"}},
		{`{"face":"QUJD","threshold":"75"}`, []string{"threshold must be a number"}},
		{`{"face":"QUJD","threshold":{}}`, []string{"threshold must be a number"}},
		{`{"face":"QUJD","limit":1.5}`, []string{"limit must be an integer"}},
		{`{"face":"QUJD","limit":"1"}`, []string{"limit must be an integer"}},
		{`{"face":"QUJD","limit":true,"threshold":[]}`, []string{"limit must be an integer", "threshold must be a number"}},
		{`{"face":"QUJD","tracking":1}`, []string{"tracking must be an object"}},
		{`{"face":"QUJD","tracking":[]}`, []string{"tracking must be an object"}},
		{`{"face":"QUJD","tracking":"a"}`, []string{"tracking must be an object"}},
		{`{"face":"QUJD","tracking":false}`, []string{"tracking must be an object"}},
		{`{"face":"QUJD","tracking":` + tracking(1025) + `}`, []string{"tracking must be at most 1024 bytes of JSON"}},
		{`{"face":"QUJD","threshold":NaN}`, []string{badJSON}},
		{`{"face":"QUJD","threshold":Infinity}`, []string{badJSON}},
		{`{"face":"QUJD","threshold":+1}`, []string{badJSON}},
		{`{"face":"QUJD","threshold":01}`, []string{badJSON}},
		{`{"face":"QUJD","threshold":0x10}`, []string{badJSON}},
		{`{"face":"QUJD","tracking":{"a":}}`, []string{badJSON}},
		{`{"face":"QUJD","tracking":{,}}`, []string{badJSON}},
		{`{"face":"QUJD","tracking":{"a":[1,,]}}`, []string{badJSON}},
		{`{"face":"QUJD","tracking":{"a":1]}`, []string{badJSON}},
		{`{"face":"QUJD","a` + "\n" + `":1}`, []string{badJSON}},
		{`{"face":"QU\x4a"}`, []string{badJSON}},
		{`{"face":"QU\u00"}`, []string{badJSON}},
		{`{"face":"QUJD",,}`, []string{badJSON + " at byte 16"}},
		{`{,}`, []string{badJSON + " at byte 2"}},
		{`{"face" "QUJD"}`, []string{badJSON + " at byte 9"}},
		{`{"face":}`, []string{badJSON + " at byte 9"}},
		{`{"face":"QUJD" "limit":1}`, []string{badJSON + " at byte 16"}},
		{`{'face':"QUJD"}`, []string{badJSON + " at byte 2"}},
		{`{"face":"QUJD"`, []string{badJSON + ": it ends too early"}},
		{`{"face":"QUJD\"}`, []string{badJSON + ": it ends too early"}},
		{`{"face":"QUJD","tracking":{`, []string{badJSON + ": it ends too early"}},
		{`{"face":"QUJD"} {}`, []string{"the request body must be one JSON object and nothing else"}},
		{`{"face":"QUJD"},`, []string{"the request body must be one JSON object and nothing else"}},
		{`{"face":"Q"}`, []string{badBase64}},
		{`{"face":"QUJDR"}`, []string{badBase64}},
		{`{"face":"QUJ$"}`, []string{badBase64}},
		{`{"face":"+_=="}`, []string{badBase64}},
		{`{"face":"QQ="}`, []string{badBase64}},
		{`{"face":"QUI==="}`, []string{badBase64}},
		{`{"face":"===="}`, []string{badBase64}},
		{`{"face":"QQ==QQ=="}`, []string{badBase64}},
		{`{"face":"QUJDé"}`, []string{badBase64}},
		{`{"face":"QUJ\u0141"}`, []string{badBase64}},
		{`{"face":"QUJD\b"}`, []string{badBase64}},
		{`{"face":"QUJD\\"}`, []string{badBase64}},
		{`{"face":"QUJD\""}`, []string{badBase64}},
		{`{"face":"data:base64,QUJD"}`, []string{badBase64}},
		{`{"face":"data:;base64url,QUJD"}`, []string{badBase64}},
		{`{"face":"data:,QUJD"}`, []string{badBase64}},
		{`{"face":"data:;base64;charset=utf-8,QUJD"}`, []string{badBase64}},
		{`{"face":"data:image/png,QUJD"}`, []string{badBase64}},
		{`{"face":"data:image/png;base64"}`, []string{badBase64}},
		{"{\"face\":\"data:image/pn\x10g;base64,QQ==\"}", []string{badBase64}}, // no JSON either
		{`{"face":"https://example.com/a.jpg"}`, []string{badBase64}},
		{`{"face":"QUJD.QUJD"}`, []string{badBase64}},
		{`{"face":"eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn"}`, []string{"provided token is not valid"}},
	} {
		t.Run(tt.body, func(t *testing.T) {
			g := &fakeGallery{search: func(context.Context, ports.Client, gallery.Probe) ([]gallery.Match, error) {
				panic("a bad request reached the gallery")
			}}
			require.Equal(t, tt.want, requireProblem(t, 400, do(handler(g), request("POST", "/users/search", tt.body))))
		})
	}
}

// tracking is an object of so many bytes.
func tracking(n int) string { return `{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}` }

// What is null is as if it were not there, and tracking may be any object of up to
// a kilobyte, in every body.
func TestNullIsAbsent(t *testing.T) {
	bodies := map[string]string{
		"search": `{"face":"QUJD","threshold":null,"limit":null,"tracking":null}`, "enrol": `{"face":"QUJD","tracking":null}`, "tracking": `{"tracking":` + tracking(1024) + `,"face":"QUJD"}`,
		"reference": `{"face":"QUJD","tracking":{"operationId":"a","extraData":{"b":[null]}}}`, "mark": "\ufeff{\"face\":\"QUJD\"}",
	}
	var got gallery.Probe
	g := &fakeGallery{search: func(_ context.Context, _ ports.Client, p gallery.Probe) ([]gallery.Match, error) {
		got = p
		return []gallery.Match{{UserID: "u1", Similarity: 99}}, nil
	}}
	for name, body := range bodies {
		for _, call := range []string{"POST /users/search", "POST /users/blacklist/search", "POST /users/u1", "PUT /users/u1", "POST /users/u1/faces", "POST /faces/detect"} {
			method, path, _ := strings.Cut(call, " ")
			if name == "search" && !strings.HasSuffix(path, "search") {
				continue
			}
			require.Equal(t, 200, do(handler(g), request(method, path, body)).StatusCode, "%s: %s", call, name)
		}
		require.Equal(t, 80.0, got.Threshold)
		require.Equal(t, 10, got.Limit)
	}
}

// Behind the last mistake that is told nothing is read: a million members cost no more
// than a few.
func TestMistakesEndTheReading(t *testing.T) {
	body := `{"face":"QUJD"` + strings.Repeat(`,"a":1`, 20) + `}`
	want := requireProblem(t, 400, do(handler(&fakeGallery{}), request("POST", "/users/u1", body)))
	require.Len(t, want, 8)
	body = `{"face":"QUJD"` + strings.Repeat(`,"a":1`, 1_000_000) + ` which is no JSON`
	require.Equal(t, want, requireProblem(t, 400, do(handler(&fakeGallery{}), request("POST", "/users/u1", body))))
}

func TestTrailingCommas(t *testing.T) {
	for _, body := range []string{
		`{"face":"QUJD",}`,
		"{\"face\":\"QUJD\" ,\n}\n",
		`{"tracking":{"a":[1,2 , ],"b":",]",},"face":"QUJD"}`,
	} {
		require.Equal(t, 200, do(handler(&fakeGallery{}), request("POST", "/users/u1", body)).StatusCode, body)
	}
}

func TestEnrolmentHasNoSearchFields(t *testing.T) {
	body := `{"face":"QUJD","threshold":80,"limit":1}`
	require.Equal(t, []string{`unknown field "threshold"`, `unknown field "limit"`},
		requireProblem(t, 400, do(handler(&fakeGallery{}), request("POST", "/users/u1", body))))
}

func TestPurpose(t *testing.T) {
	for _, value := range []string{`""`, `"Closest"`, `1`, `["closest"]`} {
		require.Equal(t, []string{`purpose must be "closest"; leave it out of an ordinary search`},
			requireProblem(t, 400, do(handler(&fakeGallery{}), request("POST", "/users/search", `{"face":"QUJD","purpose":`+value+`}`))), value)
	}
}

func TestMissingBody(t *testing.T) {
	require.Equal(t, []string{"the request body is empty: send a JSON object"},
		requireProblem(t, 400, do(handler(&fakeGallery{}), request("POST", "/users/u1", ""))))
}

// untouchable is a body that must not be read.
type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyReadAfterClose
}

func (untouchable) Close() error { return nil }

func TestBodyIsNotReadInVain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"no key", func(r *http.Request) { r.Header.Del("X-Api-Key") }, 401},
		{"out of scope", func(r *http.Request) { r.Header.Set("X-Api-Key", "scoped") }, 403},
		{"declared too long", func(r *http.Request) { r.ContentLength = 9_000_000 }, 413},
		{"compressed", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415},
		{"multipart", func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }, 415},
		{"a bare picture", func(r *http.Request) { r.Header.Set("Content-Type", "image/jpeg") }, 415},
		{"unenrolment", func(r *http.Request) { r.Method = "DELETE" }, 200},
		{"wrong method", func(r *http.Request) { r.Method = "PATCH" }, 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(&fakeGallery{})
			o.Keys = keys{theKey: {}, "scoped": {Operations: []ports.Operation{ports.OpRead}}}
			r := request("POST", "/users/u1", face())
			r.Body = untouchable{t}
			tt.change(r)
			require.Equal(t, tt.want, do(httpapi.New(o).Handler(), r).StatusCode)
		})
	}
}

func TestContentTypesThatAreTried(t *testing.T) {
	for _, media := range []string{
		"", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream", "junk;;",
	} {
		r := request("POST", "/users/u1", face())
		r.Header.Set("Content-Type", media)
		r.Header.Set("Content-Encoding", "identity")
		require.Equal(t, 200, do(handler(&fakeGallery{}), r).StatusCode, media)
	}
}

func TestPictureSize(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Limits.ImageBytes = 3 << 10
	h := httpapi.New(o).Handler()
	body := func(n int) string {
		return `{"face":"` + base64.StdEncoding.EncodeToString(make([]byte, n)) + `"}`
	}
	require.Equal(t, 200, do(h, request("POST", "/users/u1", body(3<<10))).StatusCode)
	require.Equal(t, []string{"the provided image exceeds the maximum supported size of 3 KB"},
		requireProblem(t, 413, do(h, request("POST", "/users/u1", body(3<<10+1)))))

	// A body past its cap, without a declared length, is read no further.
	r := request("POST", "/users/u1", "")
	endless := &counter{}
	r.Body, r.ContentLength = endless, -1
	require.Equal(t, []string{"the request body is too large: the maximum supported size of an image is 3 KB"},
		requireProblem(t, 413, do(h, r)))
	require.LessOrEqual(t, endless.read, 5*(3<<10)/3+64<<10+1)
}

// counter is an endless body that counts what is taken from it.
type counter struct{ read int }

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	c.read += len(p)
	return len(p), nil
}

func (*counter) Close() error { return nil }

// What encoders make of a picture of the full size fits under the body's cap.
func TestLargestPictureInEveryForm(t *testing.T) {
	o := options(&fakeGallery{})
	o.Server.Limits.ImageBytes = 1 << 20
	h := httpapi.New(o).Handler()
	data := make([]byte, 1<<20)
	state := uint32(1)
	for i := range data {
		state = state*1664525 + 1013904223
		data[i] = byte(state >> 24)
	}
	text := base64.StdEncoding.EncodeToString(data)
	escaped := strings.NewReplacer("+", `\u002B`, "/", `\/`).Replace(text)
	var wrapped strings.Builder
	for line := range chunks(text, 76) {
		wrapped.WriteString(line + `\r\n`)
	}
	for _, form := range []string{text, escaped, wrapped.String()} {
		body := `{"face":"data:image/jpeg;base64,` + form + `","tracking":{}}`
		require.Equal(t, 200, do(h, request("POST", "/users/u1", body)).StatusCode)
	}
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			part := s[:min(n, len(s))]
			if s = s[len(part):]; !yield(part) {
				return
			}
		}
	}
}
