package httpapi_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/extraction"
	"imago/ports"
)

// oneFace is what a DetectFunc answers.
var oneFace = extraction.Detection{
	Width: 320, Height: 400,
	Faces: []ports.Face{{
		Box: ports.Box{X0: 70.02, Y0: 40, X1: 250.02, Y1: 310.5}, Score: 0.93456,
		Landmarks: ports.Landmarks{{X: 125, Y: 173}, {X: 195, Y: 173}, {X: 160, Y: 215}, {X: 130, Y: 250}, {X: 190, Y: 250}},
	}},
	Turn:    270,
	Reasons: []string{"face is blurred in the provided image"},
}

func TestDetect(t *testing.T) {
	o := options(&fakeGallery{})
	o.Detect = func(_ context.Context, sent []byte) (extraction.Detection, error) {
		require.Equal(t, picture, sent)
		return oneFace, nil
	}
	r := do(httpapi.New(o).Handler(), request("POST", "/faces/detect", face()))
	require.Equal(t, 200, r.StatusCode)
	require.JSONEq(t, `{"width":320,"height":400,"faces":[{
		"box":{"x":70.5,"y":40.5,"width":180,"height":270.5},"score":0.935,
		"landmarks":[{"x":125.5,"y":173.5},{"x":195.5,"y":173.5},{"x":160.5,"y":215.5},{"x":130.5,"y":250.5},{"x":190.5,"y":250.5}],"turn":270
	}],"quality":["face is blurred in the provided image"],"codes":["face_blurred"]}`, text(t, r))
}

// That there is no face is an answer, with arrays and not nulls.
func TestDetectNothing(t *testing.T) {
	r := do(handler(&fakeGallery{}), request("POST", "/faces/detect", face()))
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, `{"width":4,"height":3,"faces":[],"quality":["no face detected in the provided image"],"codes":["no_face"]}`, text(t, r))
}

func TestDetectRefuses(t *testing.T) {
	o := options(&fakeGallery{})
	o.Detect = func(context.Context, []byte) (extraction.Detection, error) {
		return extraction.Detection{}, ports.ErrOverloaded
	}
	o.Keys = keys{
		theKey:  {Name: "lists only", Operations: []ports.Operation{ports.OpSearch}, Collections: []string{"whitelist"}},
		"enrol": {Name: "enrols", Operations: []ports.Operation{ports.OpEnrol}},
	}
	h := httpapi.New(o).Handler()
	require.Empty(t, requireProblem(t, 503, do(h, request("POST", "/faces/detect", face()))))
	require.Equal(t, []string{`unknown field "threshold"`},
		requireProblem(t, 400, do(h, request("POST", "/faces/detect", `{"face":"AAAA","threshold":1}`))))
	r := request("POST", "/faces/detect", face())
	r.Header.Set("X-Api-Key", "enrol")
	requireProblem(t, 403, do(h, r))
	r.Header.Set("X-Api-Key", "unknown")
	requireProblem(t, 401, do(h, r))
}

// A key is told of what it may use and of nothing else.
func TestCollections(t *testing.T) {
	o := options(&fakeGallery{})
	o.Lists = []config.Collection{{Name: "blacklist", Shared: true}, {Name: "whitelist"}}
	o.Keys = keys{
		theKey:  {Name: "gateway"},
		"lists": {Name: "lists", Collections: []string{"blacklist"}, Operations: []ports.Operation{ports.OpSearch, ports.OpRead}, MinThreshold: 82.5},
		"gone":  {Name: "gone", Collections: []string{"a list that was removed"}},
	}
	h := httpapi.New(o).Handler()
	for key, want := range map[string]string{
		theKey: `{"collections":[
			{"name":"users","shared":false,"operations":["enrol","search","unenrol","read"]},
			{"name":"blacklist","shared":true,"operations":["enrol","search","unenrol","read"]},
			{"name":"whitelist","shared":false,"operations":["enrol","search","unenrol","read"]}]}`,
		"lists": `{"collections":[{"name":"blacklist","shared":true,"operations":["search","read"],"minThreshold":82.5}]}`,
		"gone":  `{"collections":[]}`,
	} {
		r := request("GET", "/collections", "")
		r.Header.Set("X-Api-Key", key)
		answer := do(h, r)
		require.Equal(t, 200, answer.StatusCode)
		require.JSONEq(t, want, text(t, answer))
	}
	requireProblem(t, 400, do(h, request("GET", "/collections?x=1", "")))
	r := request("GET", "/collections", "")
	r.Header.Del("X-Api-Key")
	requireProblem(t, 401, do(h, r))
}
