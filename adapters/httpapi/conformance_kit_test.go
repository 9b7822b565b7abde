package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"time"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/ports"
)

// server is one whose gallery holds the examples of the description.
func (c *conformance) server(s situation) httpapi.Options {
	o := options(exampleGallery(s.err))
	o.Lists = []config.Collection{{Name: "blacklist", Shared: true}}
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write([]byte("up 1\n"))
	})
	o.Console = httpapi.Console{"": typed("text/html; charset=utf-8"), "console.css": typed("text/css; charset=utf-8")}
	o.Detect = func(context.Context, []byte) (ports.Detection, error) { return exampleDetection, s.err }
	o.Auth = authFunc(func(key string) (ports.Client, error) {
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

func (f authFunc) Authenticate(key string) (ports.Client, error) { return f(key) }

type healthFunc func(ctx context.Context) error

func (f healthFunc) CheckHealth(ctx context.Context) error { return f(ctx) }

// exampleDetection is what the description shows of a detection.
var exampleDetection = ports.Detection{
	Width: 320, Height: 400, Reasons: []string{"face is blurred in the provided image"},
	Faces: []ports.Face{{
		Box: ports.Box{X0: 71.1, Y0: 81.9, X1: 247.3, Y1: 310.8}, Score: 0.935,
		Landmarks: ports.Landmarks{{X: 124.9, Y: 172.6}, {X: 194.7, Y: 172.9}, {X: 159.8, Y: 215.3}, {X: 133.4, Y: 250.7}, {X: 187, Y: 250.8}},
	}},
}

// exampleGallery answers what the description shows, or err.
func exampleGallery(err error) *gallery {
	one := ports.User{UserID: "f7eab18f-e5d3-4dac-9d4d-cfb969ef848e", Faces: []ports.UserFace{{
		FaceID: "5RUFQ2ZH3JZ6S4T7WLNVTX2YHM", EnrolledAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
	}}}
	change := func(context.Context, ports.Client, string, string, []byte) error { return err }
	return &gallery{
		enrol: change, replace: change, addFace: change,
		unenrol: func(context.Context, ports.Client, string, string) error { return err },
		search: func(context.Context, ports.Client, ports.Probe) ([]ports.Candidate, error) {
			return []ports.Candidate{{UserID: one.UserID, Similarity: 99.99953}}, err
		},
		user: func(context.Context, ports.Client, string, string) (ports.User, error) { return one, err },
		users: func(context.Context, ports.Client, string, string, int) (ports.Page, error) {
			return ports.Page{Users: []ports.User{one}, Next: "g"}, err
		},
		assess: func(_ context.Context, collection string, _ float64, _ time.Duration) (ports.Assessment, error) {
			return ports.Assessment{
				Collection: collection, Threshold: 75, Cosine: 0.43538, Users: 1000, Model: "opencv-sface",
				Basis: "58,725,652 pairs of 10,838 adults",
				Measured: &ports.FalseMatches{
					Rate: ports.Rate{Value: 0.00014, Bound: ports.Estimated}, Chance: ports.Rate{Value: 0.130651, Bound: ports.Estimated},
				},
			}, err
		},
	}
}
