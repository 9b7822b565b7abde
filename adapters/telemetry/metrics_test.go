package telemetry_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"imago/adapters/telemetry"
	"imago/ports"
)

// scrape returns the lines of imago's own metrics.
func scrape(t *testing.T, m *telemetry.Metrics) []string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, rec.Code)
	body, err := io.ReadAll(rec.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "go_goroutines ")
	require.Contains(t, string(body), "process_open_fds ")
	var lines []string
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "imago_") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// count returns the number of observations of a stage.
func count(t *testing.T, m *telemetry.Metrics, stage string) string {
	t.Helper()
	prefix := `imago_stage_duration_seconds_count{stage="` + stage + `"} `
	for _, line := range scrape(t, m) {
		if n, ok := strings.CutPrefix(line, prefix); ok {
			return n
		}
	}
	return "missing"
}

func TestBuildInfo(t *testing.T) {
	lines := strings.Join(scrape(t, telemetry.New(`v1 "x"`)), "\n")
	require.Regexp(t, `imago_build_info\{goversion="go[^"]+",version="v1 \\"x\\""\} 1`, lines)
}

// Two sets of metrics in one process do not meet.
func TestNoGlobalRegistry(t *testing.T) {
	a, b := telemetry.New("a"), telemetry.New("b")
	a.Instrument("/users/{userId}", "POST", 200, time.Millisecond)
	require.NotContains(t, strings.Join(scrape(t, b), "\n"), "imago_http_requests_total")
}

func TestInstrument(t *testing.T) {
	m := telemetry.New("test")
	m.Instrument("/users/search", "POST", 200, 30*time.Millisecond)
	m.Instrument("/users/search", "POST", 200, 3*time.Second)
	m.Instrument("/users/search", "POST", 404, time.Millisecond)
	m.Instrument("/users/search", "POST", 499, time.Millisecond)
	lines := scrape(t, m)
	for _, want := range []string{
		`imago_http_requests_total{method="POST",route="/users/search",status="2xx"} 2`,
		`imago_http_requests_total{method="POST",route="/users/search",status="4xx"} 2`,
		`imago_http_request_duration_seconds_bucket{method="POST",route="/users/search",status="2xx",le="0.05"} 1`,
		`imago_http_request_duration_seconds_count{method="POST",route="/users/search",status="2xx"} 2`,
		`imago_http_request_duration_seconds_sum{method="POST",route="/users/search",status="2xx"} 3.03`,
	} {
		require.Contains(t, lines, want)
	}
}

func TestKeysReloaded(t *testing.T) {
	m := telemetry.New("test")
	require.Contains(t, scrape(t, m), `imago_key_reloads_total{result="error"} 0`)
	m.KeysReloaded(nil)
	m.KeysReloaded(errors.New("bad"))
	m.KeysReloaded(errors.New("bad"))
	require.Contains(t, scrape(t, m), `imago_key_reloads_total{result="ok"} 1`)
	require.Contains(t, scrape(t, m), `imago_key_reloads_total{result="error"} 2`)
}

func TestTLSReloaded(t *testing.T) {
	m := telemetry.New("test")
	require.Contains(t, scrape(t, m), `imago_tls_reloads_total{result="error"} 0`)
	m.TLSReloaded(nil)
	m.TLSReloaded(errors.New("bad"))
	m.TLSReloaded(errors.New("bad"))
	require.Contains(t, scrape(t, m), `imago_tls_reloads_total{result="ok"} 1`)
	require.Contains(t, scrape(t, m), `imago_tls_reloads_total{result="error"} 2`)
}

func TestTokensReloaded(t *testing.T) {
	m := telemetry.New("test")
	require.Contains(t, scrape(t, m), `imago_token_reloads_total{result="error"} 0`)
	m.TokensReloaded(nil)
	m.TokensReloaded(errors.New("bad"))
	m.TokensReloaded(errors.New("bad"))
	require.Contains(t, scrape(t, m), `imago_token_reloads_total{result="ok"} 1`)
	require.Contains(t, scrape(t, m), `imago_token_reloads_total{result="error"} 2`)
}

func TestWatchCertificate(t *testing.T) {
	m := telemetry.New("test")
	require.NotContains(t, scrape(t, m), "imago_tls_certificate", "there is none to watch")
	expires := time.Unix(1_800_000_000, 0)
	m.WatchCertificate(func() time.Time { return expires })
	require.Contains(t, scrape(t, m), "imago_tls_certificate_expiration_timestamp_seconds 1.8e+09")
	expires = expires.Add(100_000_000 * time.Second)
	require.Contains(t, scrape(t, m), "imago_tls_certificate_expiration_timestamp_seconds 1.9e+09")
}

var errTest = errors.New("test")

// port implements all ports; each call returns something of its own and errTest.
type port struct{}

func (port) Decode(_ context.Context, data []byte, longSide int) (*ports.Image, error) {
	return ports.NewImage(len(data), longSide), errTest
}

func (port) Release(*ports.Image) {}

func (port) Detect(_ context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	return []ports.Face{{Score: float64(img.Width + longSide)}}, errTest
}

func (port) Embed(_ context.Context, chips []*ports.Chip) ([][]float32, error) {
	return make([][]float32, len(chips)), errTest
}

func (port) Space() ports.Space { return ports.Space{Dimension: 7} }

func (port) Add(_ context.Context, r ports.Record, mode ports.Mode) error {
	if r.UserID == "u" && mode.Kind() == ports.KindFurtherFace {
		return errTest
	}
	return nil
}

func (port) Remove(_ context.Context, removal ports.Removal, _ ports.Owners) error {
	if removal.User() == (ports.UserKey{Collection: "c", UserID: "u"}) {
		return errTest
	}
	return nil
}

func (port) Get(context.Context, ports.UserKey) ([]ports.Record, error) {
	return make([]ports.Record, 3), errTest
}

func (port) Search(_ context.Context, q ports.Query) ([]ports.Match, error) {
	return make([]ports.Match, q.K), errTest
}

func (port) Scan(context.Context, ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) { yield(ports.Record{}, errTest) }
}

func (port) Count(_ context.Context, collection string) (int, error) {
	if collection == "broken" {
		return 0, errTest
	}
	return len(collection), nil
}

// healthy is a port that is a HealthChecker as well.
type healthy struct{ port }

func (healthy) CheckHealth(context.Context) error { return errTest }

func TestWrappersPassThroughAndCount(t *testing.T) {
	m := telemetry.New("test")
	ctx := t.Context()

	img, err := telemetry.WrapDecoder(port{}, m, nil).Decode(ctx, make([]byte, 3), 4)
	require.ErrorIs(t, err, errTest)
	require.Equal(t, []int{3, 4}, []int{img.Width, img.Height})

	faces, err := telemetry.WrapDetector(port{}, m, nil).Detect(ctx, img, 5)
	require.ErrorIs(t, err, errTest)
	require.Equal(t, []ports.Face{{Score: 8}}, faces)

	embedder := telemetry.WrapEmbedder(port{}, m, nil)
	vectors, err := embedder.Embed(ctx, make([]*ports.Chip, 2))
	require.ErrorIs(t, err, errTest)
	require.Len(t, vectors, 2)
	require.Equal(t, 7, embedder.Space().Dimension)

	s := telemetry.WrapVectorStore(port{}, m, nil)
	require.ErrorIs(t, s.Add(ctx, ports.Record{UserID: "u"}, ports.FurtherFace(ports.Everybody())), errTest)
	require.NoError(t, s.Add(ctx, ports.Record{UserID: "u"}, ports.NewUser()))
	require.ErrorIs(t, s.Remove(ctx, ports.WholeUser(ports.UserKey{Collection: "c", UserID: "u"}), ports.Everybody()), errTest)
	matches, err := s.Search(ctx, ports.Query{K: 4})
	require.ErrorIs(t, err, errTest)
	require.Len(t, matches, 4)
	records, err := s.Get(ctx, ports.UserKey{Collection: "c", UserID: "u"})
	require.ErrorIs(t, err, errTest)
	require.Len(t, records, 3)
	for _, err := range s.Scan(ctx, ports.Everything("c", "")) {
		require.ErrorIs(t, err, errTest)
	}
	n, err := s.Count(ctx, "four")
	require.NoError(t, err)
	require.Equal(t, 4, n)

	for stage, want := range map[string]string{
		"decode": "1", "detect": "1", "embed": "1", "search": "1", "store_add": "2", "store_remove": "1", "store_get": "1",
	} {
		require.Equal(t, want, count(t, m, stage), stage)
	}
}

func TestHealthPassesThrough(t *testing.T) {
	m := telemetry.New("test")
	_, checks := telemetry.WrapVectorStore(port{}, m, nil).(ports.HealthChecker)
	require.False(t, checks)
	store := telemetry.WrapVectorStore(healthy{}, m, nil)
	require.ErrorIs(t, store.(ports.HealthChecker).CheckHealth(t.Context()), errTest)
	// A store with a health check is timed as well.
	_, err := store.Search(t.Context(), ports.Query{})
	require.ErrorIs(t, err, errTest)
	require.Equal(t, "1", count(t, m, "search"))
}

func TestGalleryUsers(t *testing.T) {
	m := telemetry.New("test")
	m.WatchGallery(port{}, []string{"users", "broken", "blacklist"})
	lines := scrape(t, m)
	require.Contains(t, lines, `imago_gallery_users{collection="users"} 5`)
	require.Contains(t, lines, `imago_gallery_users{collection="blacklist"} 9`)
	require.NotContains(t, strings.Join(lines, "\n"), "broken")
}

// hanging is a store that returns when its context ends.
type hanging struct{ deadlines chan bool }

func (h hanging) Count(ctx context.Context, _ string) (int, error) {
	_, bounded := ctx.Deadline()
	h.deadlines <- bounded
	if !bounded {
		return 0, errTest
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestScrapeOutlastsAHangingStore(t *testing.T) {
	m := telemetry.New("test")
	deadlines := make(chan bool, 2)
	m.WatchGallery(hanging{deadlines}, []string{"users", "blacklist"})
	require.NotContains(t, strings.Join(scrape(t, m), "\n"), "imago_gallery_users")
	require.True(t, <-deadlines)
	require.True(t, <-deadlines)
}

func TestConcurrentUse(t *testing.T) {
	m := telemetry.New("test")
	s := telemetry.WrapVectorStore(port{}, m, nil)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 100 {
				m.Instrument("/users/search", "POST", 200, time.Millisecond)
				_, _ = s.Search(context.Background(), ports.Query{})
			}
		})
	}
	wait.Wait()
	require.Equal(t, "800", count(t, m, "search"))
	require.Contains(t, scrape(t, m), `imago_http_requests_total{method="POST",route="/users/search",status="2xx"} 800`)
}

func TestModule(t *testing.T) {
	var m *telemetry.Metrics
	app := fxtest.New(t, telemetry.Module, fx.NopLogger, fx.Supply(telemetry.Version("v2"), slog.New(slog.DiscardHandler)),
		fx.Provide(func() ports.VectorStore { return port{} }),
		fx.Decorate(telemetry.WrapVectorStore),
		fx.Populate(&m),
		fx.Invoke(func(s ports.VectorStore) { _, _ = s.Search(context.Background(), ports.Query{}) }))
	defer app.RequireStart().RequireStop()
	require.Contains(t, strings.Join(scrape(t, m), "\n"), `version="v2"`)
	require.Equal(t, "1", count(t, m, "search"))
}

func BenchmarkStage(b *testing.B) {
	s := telemetry.WrapVectorStore(port{}, telemetry.New("test"), telemetry.NewTracing("test", slog.New(slog.DiscardHandler)))
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Add(b.Context(), ports.Record{}, ports.NewUser())
	}
}
