package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"time"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/calibration"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/ports"
)

var conformanceLists = []config.Collection{{Name: "blacklist", Shared: true}}

// server is one whose gallery holds the examples of the description.
func (c *conformance) server(s situation) httpapi.Options {
	o := options(exampleGallery(s.err))
	o.Lists = conformanceLists
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write([]byte("up 1\n"))
	})
	o.Console = httpapi.Console{"": typed("text/html; charset=utf-8"), "console.css": typed("text/css; charset=utf-8")}
	o.Detect = func(context.Context, []byte) (extraction.Detection, error) { return exampleDetection, s.err }
	o.Keys = authFunc(func(key string) (ports.Client, error) {
		if key == "nothing" {
			return ports.Client{Name: key, Operations: []ports.Operation{"none"}}, nil
		}
		return ports.Client{Name: "gateway", Collections: []string{"users", "blacklist"}}, s.auth
	})
	o.Checks = httpapi.Checks{"store": healthFunc(func(context.Context) error { return errors.Join(s.err, s.auth) })}
	if s.server != nil {
		s.server(&o)
	}
	return o
}

func typed(media string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", media) })
}

type authFunc func(key string) (ports.Client, error)

func (authFunc) Charge(string, int) {}

func (f authFunc) Authenticate(key string) (ports.Client, error) { return f(key) }

type healthFunc func(ctx context.Context) error

func (f healthFunc) CheckHealth(ctx context.Context) error { return f(ctx) }

// exampleDetection is what the description shows of a detection.
var exampleDetection = extraction.Detection{
	Width: 320, Height: 400, Reasons: []string{"face is blurred in the provided image"},
	Faces: []ports.Face{{
		Box: ports.Box{X0: 71.1, Y0: 81.9, X1: 247.3, Y1: 310.8}, Score: 0.935,
		Landmarks: ports.Landmarks{{X: 124.9, Y: 172.6}, {X: 194.7, Y: 172.9}, {X: 159.8, Y: 215.3}, {X: 133.4, Y: 250.7}, {X: 187, Y: 250.8}},
	}},
}

// exampleGallery answers what the description shows, or err.
func exampleGallery(err error) *fakeGallery {
	one := gallery.User{UserID: "f7eab18f-e5d3-4dac-9d4d-cfb969ef848e", Faces: []gallery.UserFace{{
		FaceID: "5RUFQ2ZH3JZ6S4T7WLNVTX2YHM", EnrolledAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
	}}, ExpiresAt: time.Date(2031, 1, 31, 18, 0, 0, 0, time.UTC)}
	change := func(context.Context, ports.Client, string, string, []byte) error { return err }
	return &fakeGallery{
		enrol: change, replace: change, addFace: change,
		unenrol:    func(context.Context, ports.Client, string, string) error { return err },
		removeFace: func(context.Context, ports.Client, string, string, string) error { return err },
		search: func(context.Context, ports.Client, gallery.Probe) ([]gallery.Match, error) {
			return []gallery.Match{{UserID: one.UserID, Similarity: 99.99953}}, err
		},
		verify: func(context.Context, ports.Client, gallery.Verification) (gallery.Verified, error) {
			similarity := 97.10432
			return gallery.Verified{Match: true, Similarity: &similarity}, err
		},
		user: func(context.Context, ports.Client, string, string) (gallery.User, error) { return one, err },
		users: func(context.Context, ports.Client, string, string, int) (gallery.Page, error) {
			return gallery.Page{Users: []gallery.User{one}, Next: "g"}, err
		},
		assess: func(_ context.Context, collection string, _ float64, _ time.Duration) (gallery.Assessment, error) {
			return gallery.Assessment{
				Collection: collection, Threshold: 75, Cosine: 0.43538, Users: 1000, Model: "opencv-sface",
				Basis: "58,725,652 pairs of 10,838 adults",
				Measured: &calibration.FalseMatches{
					Rate: calibration.Rate{Value: 0.00014, Bound: calibration.Estimated}, Chance: calibration.Rate{Value: 0.130651, Bound: calibration.Estimated},
				},
			}, err
		},
	}
}
