package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // the portraits
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// facesFound is the answer to a search in several collections.
type facesFound struct {
	Results     []collectionFound
	Explanation *explanation
	Faces       []struct {
		Box         struct{ X, Y, Width, Height float64 }
		Results     []collectionFound
		Explanation *explanation
	}
}

type collectionFound struct {
	Collection string
	Threshold  float64
	Matches    []match
}

// names returns who was found in each collection, with - for somebody without a name.
func names(results []collectionFound) string {
	var out []string
	for _, one := range results {
		text := one.Collection
		for _, m := range one.Matches {
			if m.UserID == "" {
				m.UserID = "-"
			}
			text += " " + m.UserID
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// searchFaces searches collections.
func (s *server) searchFaces(key, body string) (found facesFound) {
	s.t.Helper()
	a := s.withKey(key, "POST", "/faces/search", body)
	require.Equal(s.t, http.StatusOK, a.status, a.body)
	require.NoError(s.t, json.Unmarshal([]byte(a.body), &found))
	return found
}

// stage returns how often a stage was done.
func (s *server) stage(name string) int {
	s.t.Helper()
	found := regexp.MustCompile(`(?m)^imago_stage_duration_seconds_count\{stage="` + name + `"\} (\d+)`).FindStringSubmatch(s.must("GET", "/metrics", "").body)
	require.NotNil(s.t, found)
	n, err := strconv.Atoi(found[1])
	require.NoError(s.t, err)
	return n
}

// pair returns a picture of two people: one upright and larger, the other upside down.
func pair(t *testing.T, upright, inverted string) []byte {
	t.Helper()
	open := func(name string) image.Image {
		img, _, err := image.Decode(bytes.NewReader(fixture.ReadPortrait(t, name)))
		require.NoError(t, err)
		return img
	}
	a, b := open(upright), open(inverted)
	w, h := b.Bounds().Dx()*2/3, b.Bounds().Dy()*2/3
	out := image.NewRGBA(image.Rect(0, 0, a.Bounds().Dx()+w, max(a.Bounds().Dy(), h)))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.Gray{Y: 128}), image.Point{}, draw.Src)
	draw.Draw(out, a.Bounds().Sub(a.Bounds().Min), a, a.Bounds().Min, draw.Src)
	for y := range h {
		for x := range w {
			out.Set(a.Bounds().Dx()+x, y, b.At(b.Bounds().Min.X+(w-1-x)*3/2, b.Bounds().Min.Y+(h-1-y)*3/2))
		}
	}
	return fixture.JPEG(t, out, 95)
}

// One picture, several lists: every list answers as its own search does, the picture is
// worked on once, and every face is told for itself.
func TestSearchFaces(t *testing.T) {
	t.Parallel()
	picture := pair(t, "obama2.jpg", "biden.jpg")
	for name, settings := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			audit := filepath.Join(t.TempDir(), "audit.log")
			door, keysFile := newKeys(t, "door")
			s := start(t, append(settings(t), "IMAGO_AUDIT_PATH="+audit, "IMAGO_AUTH_KEYS_FILE="+keysFile)...)
			obama, again, biden := faceJSON(fixture.ReadPortrait(t, "obama.jpg")), faceJSON(fixture.ReadPortrait(t, "obama2.jpg")), faceJSON(fixture.ReadPortrait(t, "biden.jpg"))
			for path, face := range map[string]string{"/users/o": obama, "/users/blacklist/o2": obama, "/users/blacklist/b": biden} {
				require.Equal(t, http.StatusOK, s.must("POST", path, face).status)
			}
			const three = `"collections":["blacklist","users","whitelist"]`
			require.Equal(t, "blacklist o2, users o, whitelist", names(s.searchFaces(apiKey, with(again, three)).Results))
			require.Equal(t, "blacklist -, users o, whitelist", names(s.searchFaces(door, with(again, three)).Results), "the list is shared")
			require.Equal(t, "blacklist b, users, whitelist", names(s.searchFaces(apiKey, with(biden, three)).Results))
			single := s.must("POST", "/users/search", again).matches(t)
			several := s.searchFaces(apiKey, with(again, `"collections":["users"],"limit":1,"threshold":1`))
			require.Equal(t, single, several.Results[0].Matches)
			require.Equal(t, 1.0, several.Results[0].Threshold)

			// The work on the picture is that of one search.
			work := func(do func()) (times [3]int) {
				for i, stage := range []string{"decode", "detect", "embed"} {
					times[i] = -s.stage(stage)
				}
				do()
				for i, stage := range []string{"decode", "detect", "embed"} {
					times[i] += s.stage(stage)
				}
				return times
			}
			require.Equal(t, work(func() { s.must("POST", "/users/search", again) }), work(func() { s.searchFaces(apiKey, with(again, three)) }))

			// Both faces, each for itself, where /faces/detect sees them and whichever way they lie.
			var detected struct {
				Faces []struct {
					Box struct{ X, Y, Width, Height float64 }
				}
			}
			require.NoError(t, json.Unmarshal([]byte(s.must("POST", "/faces/detect", faceJSON(picture)).body), &detected))
			all := s.searchFaces(apiKey, asking(with(faceJSON(picture), three+`,"faces":"all"`)))
			require.Len(t, all.Faces, 2)
			for i, who := range []string{"blacklist o2, users o, whitelist", "blacklist b, users, whitelist"} {
				require.Equal(t, all.Faces[i].Box, all.Faces[i].Explanation.Box)
				require.Equal(t, 2, all.Faces[i].Explanation.Faces)
				require.Equal(t, who, names(all.Faces[i].Results))
			}
			require.Equal(t, detected.Faces[0].Box, all.Faces[0].Box)
			require.Equal(t, 0, all.Faces[0].Explanation.Turn)
			require.Equal(t, 180, all.Faces[1].Explanation.Turn)
			largest := s.searchFaces(apiKey, with(faceJSON(picture), three))
			require.Equal(t, largest.Results, all.Faces[0].Results, "the largest is the one of an ordinary search")
			embedded := work(func() { s.searchFaces(apiKey, with(faceJSON(picture), three+`,"faces":"all"`)) })
			require.Equal(t, 1, embedded[2], "one embedding")

			for body, want := range map[string]string{
				again: "collections is required", with(again, `"collections":["users","users"]`): `collections names \"users\" twice`,
				with(faceJSON(fixture.Landscape(t)), three+`,"faces":"all"`): "no face detected in the provided image",
			} {
				a := s.withKey(apiKey, "POST", "/faces/search", body)
				require.Equal(t, http.StatusBadRequest, a.status)
				require.Contains(t, a.body, want)
			}
			lines, err := os.ReadFile(audit)
			require.NoError(t, err)
			require.Contains(t, string(lines), `"client":"door","address":"127.0.0.1","operation":"search_faces","collection":"","status":200,"faces":1,`+
				`"collections":["blacklist","users","whitelist"],"searches":[{"face":0,"collection":"blacklist","threshold":80,"limit":10,"match_count":1,"matches":[{"similarity":`)
			require.NotContains(t, string(lines), `"face":"/9j/`)
			require.Regexp(t, `imago_searches_total\{collection="whitelist",result="no_match"\} \d+`, s.must("GET", "/metrics", "").body)
		})
	}
}

// What a client tracks its requests by is in the lines of the audit log and in the trace
// as it came, and in no other place.
func TestTracking(t *testing.T) {
	t.Parallel()
	c, env := collect(t)
	audit := filepath.Join(t.TempDir(), "audit.log")
	s := start(t, append(env, "IMAGO_AUDIT_PATH="+audit, "IMAGO_AUDIT_REQUIRED=true")...)
	face := faceJSON(portrait(t))
	calls := []struct {
		method, path, members string
		status                int
	}{
		{"POST", "/users/a", "", 200}, {"POST", "/users/a", "", 400}, {"PUT", "/users/a", "", 200}, {"POST", "/users/a/faces", "", 200},
		{"POST", "/users/search", "", 200}, {"POST", "/users/blacklist/search", "", 404}, {"POST", "/users/a/verify", "", 200},
		{"POST", "/users/nobody/verify", "", 404}, {"POST", "/faces/detect", "", 200},
		{"POST", "/faces/search", `,"collections":["users","blacklist"]`, 200}, {"POST", "/faces/search", `,"collections":["nolist"]`, 404},
	}
	for i, call := range calls {
		tracking := fmt.Sprintf(`{"operationId":"tracked-%02d","extraData":{"n":1.50,"n":[1e400,"\u00e9<>é"]}}`, i)
		a := s.traced(call.method, call.path, with(face, `"tracking":`+tracking+call.members), fmt.Sprintf("%032x", i+1), "b7ad6b7169203331", "01")
		require.Equal(t, call.status, a.status, a.body)
		require.NotContains(t, a.body, "tracked-")
	}
	require.NotContains(t, s.must("GET", "/metrics", "").body, "tracked-")
	s.stop()
	require.NotContains(t, s.log.String(), "tracked-")
	lines, err := os.ReadFile(audit)
	require.NoError(t, err)
	for i, call := range calls {
		tracking := fmt.Sprintf(`{"operationId":"tracked-%02d","extraData":{"n":1.50,"n":[1e400,"\u00e9<>é"]}}`, i)
		outcome := 0
		for line := range strings.Lines(string(lines)) {
			if strings.Contains(line, fmt.Sprintf("%032x", i+1)) {
				require.Contains(t, line, `"tracking":`+tracking+`,`)
				outcome++
			}
		}
		require.Positive(t, outcome)
		found := 0
		for _, span := range c.of(fmt.Sprintf("%032x", i+1)) {
			for _, a := range span.Attributes {
				if a.Key == "imago.tracking" {
					require.Equal(t, tracking, a.Value.GetStringValue())
					require.Equal(t, "b7ad6b7169203331", fmt.Sprintf("%x", span.ParentSpanId), call.path)
					found++
				}
			}
		}
		require.Equal(t, 1, found, call.path)
	}
}
