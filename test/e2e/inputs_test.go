package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/jpeg"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// What real clients sent and other systems got wrong, as it was sent.
func TestSharedCases(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, name := range []string{"no_eoi.jpg", "no_iend.png", "window_08.png"} {
		picture := fixture.Cases(t, name)
		require.Equal(t, http.StatusOK, s.enrol(name, picture).status, name)
		require.Equal(t, name, s.search(picture).matches(t)[0].UserID)
		cut := s.search(picture[:len(picture)*9/10])
		require.Equal(t, http.StatusBadRequest, cut.status, name)
		require.Equal(t, []string{"the provided image is damaged or incomplete"}, cut.problem(t).Errors)
		require.Equal(t, http.StatusOK, s.unenrol(name).status)
	}
	require.Equal(t, http.StatusOK, s.must("POST", "/users/bom", string(fixture.Cases(t, "bom.json"))).status)
	for _, name := range []string{"bom.json", "octet_stream.json", "nulls.json"} {
		found := s.must("POST", "/users/search", string(fixture.Cases(t, name))).matches(t)
		require.Equal(t, "bom", found[0].UserID, name)
		require.InDelta(t, 99.9995, found[0].Similarity, 0.001, name)
	}
}

// An orientation is honoured whatever number it is stored as: what is enrolled is
// the picture as people see it.
func TestOrientationStoredAsLong(t *testing.T) {
	t.Parallel()
	s := start(t)
	sideways := fixture.Cases(t, "exif_long6.jpg")
	stored, err := jpeg.Decode(bytes.NewReader(sideways))
	require.NoError(t, err)
	a := s.must("POST", "/faces/detect", faceJSON(sideways))
	var seen struct{ Width, Height int }
	require.NoError(t, json.Unmarshal([]byte(a.body), &seen), a.body)
	require.Equal(t, stored.Bounds().Size(), image.Pt(seen.Height, seen.Width))
	require.Equal(t, http.StatusOK, s.enrol("turned", sideways).status)
	found := s.search(rotated(t, stored)).matches(t)
	require.Equal(t, "turned", found[0].UserID)
	require.Greater(t, found[0].Similarity, 99.0)
}

// rotated is a picture turned by 90 degrees clockwise, as a PNG.
func rotated(t *testing.T, img image.Image) []byte {
	size := img.Bounds().Size()
	out := image.NewRGBA(image.Rect(0, 0, size.Y, size.X))
	for y := range size.Y {
		for x := range size.X {
			out.Set(size.Y-1-y, x, img.At(x, y))
		}
	}
	return fixture.PNG(t, out)
}

// The neighbours of the cases, made from a drawn face: complete pixels with any
// tail, in any spelling of a body.
func TestInputsThatAreFine(t *testing.T) {
	t.Parallel()
	s := start(t)
	plain := portrait(t)
	require.Equal(t, http.StatusOK, s.enrol("alice", plain).status)
	decoded, err := jpeg.Decode(bytes.NewReader(plain))
	require.NoError(t, err)
	drawing := fixture.PNG(t, decoded)
	const iend, crc, adler = 12, 4, 4
	end := len(plain) - 2
	bodies := map[string]string{
		"no end":                     faceJSON(plain[:end]),
		"half an end":                faceJSON(plain[:end+1]),
		"bytes behind the end":       faceJSON(slices.Concat(plain, []byte("\x00\x00trailing"))),
		"fill bytes before the end":  faceJSON(slices.Concat(plain[:end], []byte{0xFF, 0xFF, 0xFF, 0xD9})),
		"PNG, no end":                faceJSON(drawing[:len(drawing)-iend]),
		"PNG, half an end":           faceJSON(drawing[:len(drawing)-iend/2]),
		"PNG, no checksum":           faceJSON(drawing[:len(drawing)-iend-crc]),
		"PNG, no Adler-32":           faceJSON(drawing[:len(drawing)-iend-crc-adler]),
		"PNG, broken end":            faceJSON(slices.Concat(drawing[:len(drawing)-1], []byte{0})),
		"PNG, bytes behind the end":  faceJSON(slices.Concat(drawing, []byte("trailing"))),
		"byte order mark":            "\ufeff" + faceJSON(plain),
		"null":                       strings.TrimSuffix(faceJSON(plain), "}") + `,"threshold":null,"limit":null,"tracking":null}`,
		"tracking of the reference":  strings.TrimSuffix(faceJSON(plain), "}") + `,"tracking":{"operationId":"1","extraData":{"a":["b",null]}}}`,
		"data URL of a PNG":          dataURL("data:image/png;base64,", plain),
		"data URL of bytes":          dataURL("data:application/octet-stream;base64,", plain),
		"data URL of nothing":        dataURL("data:;base64,", plain),
		"data URL of anything":       dataURL("data:*/*;base64,", plain),
		"data URL of image/jpg":      dataURL("DATA:IMAGE/JPG;charset=utf-8;BASE64,", drawing),
		"data URL with white space ": dataURL(" data:image/jpeg; base64, ", plain),
	}
	for name, body := range bodies {
		a := s.must("POST", "/users/search", body)
		require.Equal(t, http.StatusOK, a.status, "%s: %s", name, a.body)
		require.Equal(t, "alice", a.matches(t)[0].UserID, name)
	}
}

func dataURL(head string, picture []byte) string {
	return `{"face":"` + head + base64.StdEncoding.EncodeToString(picture) + `"}`
}

// A misspelt path or list never reads as one on which nobody is.
func TestNobodyIsToldFromNoSuchPath(t *testing.T) {
	t.Parallel()
	s := start(t)
	body := faceJSON(portrait(t))
	for _, path := range []string{"/users/search", "/users/blacklist/search"} {
		require.Equal(t, notFound, s.must("POST", path, body).body, path)
	}
	require.Equal(t, notFound, s.unenrol("nobody").body)
	require.Equal(t, notFound, s.must("GET", "/users/blacklist/nobody", "").body)
	for path, says := range map[string]string{
		"/users/blacklist/search/": "there is no such path",
		"/users/blacklst/search":   `there is no list "blacklst"`,
		"/users/Blacklist/search":  `there is no list "Blacklist"`,
		"/users/users/search":      `there is no list "users"`,
		"//users/search":           "there is no such path",
		"/User/search":             "there is no such path",
		"/":                        "there is no such path",
		"/api/v1/users/search":     "there is no such path",
	} {
		a := s.must("POST", path, body)
		require.Equal(t, http.StatusNotFound, a.status, path)
		require.Len(t, a.problem(t).Errors, 1, path)
		require.Contains(t, a.problem(t).Errors[0], says, path)
	}
	// Who has no key is told nothing of the lists.
	for _, list := range []string{"blacklist", "blacklst"} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/users/"+list+"/search", strings.NewReader(body))
		require.NoError(t, err)
		a, err := s.do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, a.status)
	}
	metrics := s.must("GET", "/metrics", "").body
	require.Contains(t, metrics, `imago_refusals_total{reason="no_such_list"} 3`)
	require.Contains(t, metrics, `imago_refusals_total{reason="no_such_path"} 5`)
}
