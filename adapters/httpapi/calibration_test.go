package httpapi_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/calibration"
	"imago/core/gallery"
	"imago/ports"
)

// assessing is a gallery that knows the chance of a false match, and what it was
// asked.
func assessing(chance calibration.Rate, asked *[]any) *fakeGallery {
	return &fakeGallery{assess: func(_ context.Context, collection string, threshold float64, maxAge time.Duration) (gallery.Assessment, error) {
		*asked = []any{collection, threshold, maxAge}
		return gallery.Assessment{
			Collection: collection, Threshold: threshold, Cosine: 0.5, Users: 1000, Model: "m", Basis: "b",
			Measured: &calibration.FalseMatches{Rate: calibration.Rate{Value: 1e-4, Bound: chance.Bound}, Chance: chance},
		}, nil
	}}
}

// withLists returns the server's settings with a list that has its own threshold
// and one that has not.
func withLists(g httpapi.Gallery) httpapi.Options {
	o := options(g)
	o.Lists = []config.Collection{{Name: "blacklist", Threshold: 92.5}, {Name: "whitelist"}}
	return o
}

func TestCalibration(t *testing.T) {
	var asked []any
	h := httpapi.New(withLists(assessing(calibration.Rate{Value: 0.25, Bound: calibration.AtMost}, &asked))).Handler()
	for path, want := range map[string][]any{
		"/calibration":                        {"users", 80.0, time.Duration(0)},
		"/calibration?threshold=75.5":         {"users", 75.5, time.Duration(0)},
		"/calibration/blacklist":              {"blacklist", 92.5, time.Duration(0)},
		"/calibration/blacklist?threshold=0":  {"blacklist", 0.0, time.Duration(0)},
		"/calibration/whitelist":              {"whitelist", 80.0, time.Duration(0)},
		"/calibration/whitelist?threshold=99": {"whitelist", 99.0, time.Duration(0)},
	} {
		r := do(h, request("GET", path, ""))
		require.Equal(t, http.StatusOK, r.StatusCode, path)
		require.Equal(t, want, asked, path)
	}
	require.Equal(t, `{"collection":"users","threshold":75.5,"cosine":0.5,"users":1000,`+
		`"falseMatchRate":{"value":0.0001,"bound":"at_most"},"falseMatchChance":{"value":0.25,"bound":"at_most"},`+
		`"calibration":{"model":"m","basis":"b","provisional":false}}`,
		text(t, do(h, request("GET", "/calibration?threshold=75.5", ""))))
	require.Equal(t, `{"collection":"users","threshold":80,"cosine":0,"users":0,"calibration":{"model":"","basis":"","provisional":false}}`,
		text(t, do(handler(&fakeGallery{}), request("GET", "/calibration", ""))), "nothing was measured")
}

func TestCalibrationRefuses(t *testing.T) {
	o := withLists(&fakeGallery{})
	o.Keys = keys{theKey: {Name: "all"}, "reader": {Name: "r", Operations: []ports.Operation{ports.OpRead}}}
	h := httpapi.New(o).Handler()
	for _, query := range []string{"threshold=", "threshold=x", "threshold=NaN", "threshold=0x50", "threshold=8_0", "threshold=80&threshold=80", "treshold=80"} {
		requireProblem(t, 400, do(h, request("GET", "/calibration?"+query, "")))
	}
	require.Contains(t, requireProblem(t, 404, do(h, request("GET", "/calibration/users", "")))[0], `there is no list "users"`)
	require.Contains(t, requireProblem(t, 404, do(h, request("GET", "/calibration/nolist", "")))[0], `there is no list "nolist"`)
	r := request("GET", "/calibration", "")
	r.Header.Set("X-Api-Key", "reader")
	require.Empty(t, requireProblem(t, 403, do(h, r)))
}

func TestSearchWarns(t *testing.T) {
	one := []gallery.Match{{UserID: "u1", Similarity: 99}}
	const whole = `false-match;chance="0.632";bound=at_most;limit="0.5";users=1000`
	for name, c := range map[string]struct {
		chance, limit float64
		matches       []gallery.Match
		failure       error
		want          string
	}{
		"above":         {0.63212, 0.5, one, nil, whole},
		"no match":      {0.63212, 0.5, nil, nil, whole},
		"at the limit":  {0.5, 0.5, one, nil, ""},
		"off":           {1, 0, one, nil, ""},
		"not a search":  {1, 0.5, nil, ports.ErrInvalid, ""},
		"small chances": {1.23456e-7, 1e-7, one, nil, `false-match;chance="1.23e-07";bound=at_most;limit="1e-07";users=1000`},
	} {
		var asked []any
		g := assessing(calibration.Rate{Value: c.chance, Bound: calibration.AtMost}, &asked)
		g.search = func(context.Context, ports.Client, gallery.Probe) ([]gallery.Match, error) {
			return c.matches, c.failure
		}
		o := withLists(g)
		o.Search.MaxFalseMatch = c.limit
		r := do(httpapi.New(o).Handler(), request("POST", "/users/blacklist/search", face()))
		require.Equal(t, c.want, r.Header.Get("X-Imago-Warning"), name)
		if c.want != "" {
			require.Equal(t, []any{"blacklist", 92.5, time.Minute}, asked, name)
		}
	}
}

// Not being able to tell is no reason to fail.
func TestSearchWithoutAWarning(t *testing.T) {
	g := &fakeGallery{assess: func(context.Context, string, float64, time.Duration) (gallery.Assessment, error) {
		return gallery.Assessment{}, ports.ErrUnavailable
	}}
	r := do(handler(g), request("POST", "/users/search", face()))
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Empty(t, r.Header.Get("X-Imago-Warning"))
}

// A search without a threshold takes that of its collection.
func TestThresholdOfACollection(t *testing.T) {
	var got gallery.Probe
	g := &fakeGallery{search: func(_ context.Context, _ ports.Client, p gallery.Probe) ([]gallery.Match, error) {
		got = p
		return nil, nil
	}}
	h := httpapi.New(withLists(g)).Handler()
	for path, want := range map[string]float64{"/users/search": 80, "/users/blacklist/search": 92.5, "/users/whitelist/search": 80} {
		do(h, request("POST", path, face()))
		require.Equal(t, want, got.Threshold, path)
	}
	do(h, request("POST", "/users/blacklist/search", `{"face":"`+encoded()+`","threshold":0}`))
	require.Zero(t, got.Threshold)
}
