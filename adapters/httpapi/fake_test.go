package httpapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"imago/adapters/httpapi"
	"imago/config"
	"imago/core/extraction"
	"imago/core/gallery"
	"imago/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGallery is a Gallery whose behaviour each test sets; what is not set
// succeeds.
type fakeGallery struct {
	mu         sync.Mutex
	expires    []time.Time // of the enrolments, as they came
	enrol      func(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	search     func(ctx context.Context, c ports.Client, p gallery.Probe) ([]gallery.Match, error)
	unenrol    func(ctx context.Context, c ports.Client, collection, userID string) error
	replace    func(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	addFace    func(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	user       func(ctx context.Context, c ports.Client, collection, userID string) (gallery.User, error)
	removeFace func(ctx context.Context, c ports.Client, collection, userID, faceID string) error
	users      func(ctx context.Context, c ports.Client, collection, from string, limit int) (gallery.Page, error)
	verify     func(ctx context.Context, c ports.Client, v gallery.Verification) (gallery.Verified, error)
	assess     func(ctx context.Context, collection string, threshold float64, maxAge time.Duration) (gallery.Assessment, error)
}

var _ httpapi.Gallery = (*fakeGallery)(nil)

func (g *fakeGallery) Assess(ctx context.Context, collection string, threshold float64, maxAge time.Duration) (gallery.Assessment, error) {
	if g.assess == nil {
		return gallery.Assessment{Collection: collection, Threshold: threshold}, nil
	}
	return g.assess(ctx, collection, threshold, maxAge)
}

// exampleExplanation is what the fake has seen of every picture.
var exampleExplanation = extraction.Explanation{Box: ports.Box{X0: 71.1, Y0: 81.9, X1: 247.3, Y1: 310.8}, Faces: 1}

// tell tells an enrolment that asks what the description shows.
func tell(e gallery.Enrolment) {
	if e.Enrolled != nil {
		*e.Enrolled = gallery.Enrolled{FaceID: "5RUFQ2ZH3JZ6S4T7WLNVTX2YHM", Explanation: exampleExplanation}
	}
}

func (g *fakeGallery) noteExpiry(e gallery.Enrolment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expires = append(g.expires, e.ExpiresAt)
}

func (g *fakeGallery) Enrol(ctx context.Context, c ports.Client, e gallery.Enrolment) error {
	g.noteExpiry(e)
	tell(e)
	if g.enrol == nil {
		return nil
	}
	return g.enrol(ctx, c, e.Collection, e.UserID, e.Picture)
}

// Search answers what search finds, and what assess says where it is asked.
func (g *fakeGallery) Search(ctx context.Context, c ports.Client, p gallery.Probe) (gallery.Result, error) {
	result := gallery.Result{Matches: []gallery.Match{{UserID: "u1", Similarity: 100}}}
	if g.search != nil {
		var err error
		if result.Matches, err = g.search(ctx, c, p); err != nil {
			return gallery.Result{}, err
		}
	}
	if p.Explain {
		seen := exampleExplanation
		seen.Reasons = []string{"face is blurred in the provided image"}
		result.Explanation = &seen
	}
	if p.Measure && len(result.Matches) > 0 {
		result.Best = &gallery.Best{Similarity: result.Matches[0].Similarity, Outcome: gallery.Matched}
	}
	if p.Assess {
		if a, err := g.Assess(ctx, p.Collection, p.Threshold, time.Minute); err == nil {
			result.Assessment = &a
		}
	}
	return result, nil
}

// SearchFaces answers for one face, and for two where all are asked for, what search finds
// in each collection.
func (g *fakeGallery) SearchFaces(ctx context.Context, c ports.Client, p gallery.FacesProbe) ([]gallery.FaceResult, error) {
	var found gallery.FaceResult
	for _, one := range p.Collections {
		result, err := g.Search(ctx, c, gallery.Probe{
			Collection: one.Collection, Picture: p.Picture, Threshold: one.Threshold, Limit: p.Limit, Assess: p.Assess, Explain: p.Explain, Measure: p.Measure,
		})
		if err != nil {
			return nil, err
		}
		found.Results = append(found.Results, gallery.CollectionResult{CollectionProbe: one, Matches: result.Matches, Assessment: result.Assessment, Best: result.Best})
		found.Explanation = result.Explanation
	}
	found.Box = exampleExplanation.Box
	if p.All {
		return []gallery.FaceResult{found, found}, nil
	}
	return []gallery.FaceResult{found}, nil
}

// Verify answers what verify does.
func (g *fakeGallery) Verify(ctx context.Context, c ports.Client, v gallery.Verification) (gallery.Verified, error) {
	similarity := 99.99953
	verified := gallery.Verified{Match: true, Similarity: &similarity}
	if g.verify != nil {
		var err error
		if verified, err = g.verify(ctx, c, v); err != nil {
			return gallery.Verified{}, err
		}
	}
	if v.Explain {
		seen := exampleExplanation
		seen.Reasons = []string{"face is blurred in the provided image"}
		verified.Explanation = &seen
	}
	return verified, nil
}

func (g *fakeGallery) Unenrol(ctx context.Context, c ports.Client, collection, userID string) error {
	if g.unenrol == nil {
		return nil
	}
	return g.unenrol(ctx, c, collection, userID)
}

func (g *fakeGallery) RemoveFace(ctx context.Context, c ports.Client, collection, userID, faceID string) error {
	if g.removeFace == nil {
		return nil
	}
	return g.removeFace(ctx, c, collection, userID, faceID)
}

func (g *fakeGallery) Replace(ctx context.Context, c ports.Client, e gallery.Enrolment) error {
	g.noteExpiry(e)
	tell(e)
	if g.replace == nil {
		return nil
	}
	return g.replace(ctx, c, e.Collection, e.UserID, e.Picture)
}

func (g *fakeGallery) AddFace(ctx context.Context, c ports.Client, e gallery.Enrolment) error {
	g.noteExpiry(e)
	tell(e)
	if g.addFace == nil {
		return nil
	}
	return g.addFace(ctx, c, e.Collection, e.UserID, e.Picture)
}

func (g *fakeGallery) User(ctx context.Context, c ports.Client, collection, userID string) (gallery.User, error) {
	if g.user == nil {
		return gallery.User{UserID: userID}, nil
	}
	return g.user(ctx, c, collection, userID)
}

func (g *fakeGallery) Users(ctx context.Context, c ports.Client, collection, from string, limit int) (gallery.Page, error) {
	if g.users == nil {
		return gallery.Page{}, nil
	}
	return g.users(ctx, c, collection, from, limit)
}

// failing is a gallery whose every call answers err.
func failing(err error) *fakeGallery {
	return &fakeGallery{
		enrol:      func(context.Context, ports.Client, string, string, []byte) error { return err },
		search:     func(context.Context, ports.Client, gallery.Probe) ([]gallery.Match, error) { return nil, err },
		unenrol:    func(context.Context, ports.Client, string, string) error { return err },
		removeFace: func(context.Context, ports.Client, string, string, string) error { return err },
		verify: func(context.Context, ports.Client, gallery.Verification) (gallery.Verified, error) {
			return gallery.Verified{}, err
		},
	}
}

// keys are clients by key.
type keys map[string]ports.Client

func (k keys) Authenticate(key string) (ports.Client, error) {
	c, ok := k[key]
	if !ok {
		return ports.Client{}, ports.ErrUnauthorized
	}
	return c, nil
}

func (keys) Charge(string, int) {}

// theKey is the key that may do everything.
const theKey = "a-key-for-everything"

func defaultKeys() keys { return keys{theKey: {Name: "gateway"}} }

// options are the shipped settings over a gallery, on a free port.
func options(g httpapi.Gallery) httpapi.Options {
	c := config.Default()
	c.Server.Listen = "127.0.0.1:0"
	return httpapi.Options{Server: c.Server, Search: c.Search, Lists: c.Collections, Gallery: g, Detect: nothing, Keys: defaultKeys()}
}

// nothing is a DetectFunc that finds no face.
func nothing(context.Context, []byte) (extraction.Detection, error) {
	return extraction.Detection{Width: 4, Height: 3, Reasons: []string{"no face detected in the provided image"}}, nil
}

// handler is the whole API over a gallery.
func handler(g httpapi.Gallery) http.Handler { return httpapi.New(options(g)).Handler() }

// start runs a server for the length of a test and returns it with its URL.
func start(t *testing.T, o httpapi.Options) (*httpapi.Server, string) {
	t.Helper()
	s := httpapi.New(o)
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	return s, "http://" + s.Addr().String()
}

// request makes a request with theKey.
func request(method, target, body string) *http.Request {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, target, r)
	req.Header.Set("X-Api-Key", theKey)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// do serves one request.
func do(h http.Handler, r *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result()
}

// text reads a whole body.
func text(t *testing.T, r *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return string(body)
}

// problem is the body of an error as a client reads it.
type problem struct {
	Status int      `json:"status"`
	Title  string   `json:"title"`
	Detail string   `json:"detail"`
	Type   string   `json:"type"`
	Errors []string `json:"errors"`
}

// requireProblem checks that an answer is a sound problem object of a status
// and returns its reasons.
func requireProblem(t *testing.T, status int, r *http.Response) []string {
	t.Helper()
	body := text(t, r)
	require.Equal(t, status, r.StatusCode, body)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	var p problem
	require.NoError(t, dec.Decode(&p), body)
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	require.True(t, strings.HasPrefix(p.Type, "https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/"))
	return p.Errors
}

// picture is what stands for an image file in these tests.
var picture = []byte("\xff\xd8\xff picture \x00\xfb\xef\xbe")

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func encoded() string { return base64Of(string(picture)) }

// face is a body with the picture.
func face() string { return `{"face":"` + encoded() + `"}` }

// receive waits for a value, or fails when the test is about to be ended.
func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(30 * time.Second):
		require.FailNow(t, "nothing happened")
		panic("unreachable")
	}
}
