package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
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
	"imago/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gallery is a Gallery whose behaviour each test sets; what is not set
// succeeds.
type gallery struct {
	enrol   func(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	search  func(ctx context.Context, c ports.Client, p ports.Probe) ([]ports.Candidate, error)
	unenrol func(ctx context.Context, c ports.Client, collection, userID string) error
	replace func(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	addFace func(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	user    func(ctx context.Context, c ports.Client, collection, userID string) (ports.User, error)
	users   func(ctx context.Context, c ports.Client, collection, from string, limit int) (ports.Page, error)
	assess  func(ctx context.Context, collection string, threshold float64, maxAge time.Duration) (ports.Assessment, error)
}

var _ httpapi.Gallery = (*gallery)(nil)

func (g *gallery) Assess(ctx context.Context, collection string, threshold float64, maxAge time.Duration) (ports.Assessment, error) {
	if g.assess == nil {
		return ports.Assessment{Collection: collection, Threshold: threshold}, nil
	}
	return g.assess(ctx, collection, threshold, maxAge)
}

func (g *gallery) Enrol(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error {
	if g.enrol == nil {
		return nil
	}
	return g.enrol(ctx, c, collection, userID, picture)
}

func (g *gallery) Search(ctx context.Context, c ports.Client, p ports.Probe) ([]ports.Candidate, error) {
	if g.search == nil {
		return []ports.Candidate{{UserID: "u1", Similarity: 100}}, nil
	}
	return g.search(ctx, c, p)
}

func (g *gallery) Unenrol(ctx context.Context, c ports.Client, collection, userID string) error {
	if g.unenrol == nil {
		return nil
	}
	return g.unenrol(ctx, c, collection, userID)
}

func (g *gallery) Replace(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error {
	if g.replace == nil {
		return nil
	}
	return g.replace(ctx, c, collection, userID, picture)
}

func (g *gallery) AddFace(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error {
	if g.addFace == nil {
		return nil
	}
	return g.addFace(ctx, c, collection, userID, picture)
}

func (g *gallery) User(ctx context.Context, c ports.Client, collection, userID string) (ports.User, error) {
	if g.user == nil {
		return ports.User{UserID: userID}, nil
	}
	return g.user(ctx, c, collection, userID)
}

func (g *gallery) Users(ctx context.Context, c ports.Client, collection, from string, limit int) (ports.Page, error) {
	if g.users == nil {
		return ports.Page{}, nil
	}
	return g.users(ctx, c, collection, from, limit)
}

// failing is a gallery whose every call answers err.
func failing(err error) *gallery {
	return &gallery{
		enrol:   func(context.Context, ports.Client, string, string, []byte) error { return err },
		search:  func(context.Context, ports.Client, ports.Probe) ([]ports.Candidate, error) { return nil, err },
		unenrol: func(context.Context, ports.Client, string, string) error { return err },
	}
}

// keys is an Authenticator over clients by key.
type keys map[string]ports.Client

func (k keys) Authenticate(key string) (ports.Client, error) {
	c, ok := k[key]
	if !ok {
		return ports.Client{}, ports.ErrUnauthorized
	}
	return c, nil
}

// theKey is the key that may do everything.
const theKey = "a-key-for-everything"

func defaultKeys() keys { return keys{theKey: {Name: "gateway"}} }

// options are the shipped settings over a gallery, on a free port.
func options(g httpapi.Gallery) httpapi.Options {
	c := config.Default()
	c.Server.Listen = "127.0.0.1:0"
	return httpapi.Options{Server: c.Server, Search: c.Search, Lists: c.Collections, Gallery: g, Detect: nothing, Auth: defaultKeys()}
}

// nothing is a DetectFunc that finds no face.
func nothing(context.Context, []byte) (ports.Detection, error) {
	return ports.Detection{Width: 4, Height: 3, Reasons: []string{"no face detected in the provided image"}}, nil
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

// logbook is a log that a test can read while the server writes.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

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
