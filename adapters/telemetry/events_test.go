package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/adapters/telemetry"
	"imago/ports"
)

func TestRefusalsAreCountedFromZero(t *testing.T) {
	m := telemetry.New("test")
	m.ExpectRefusals([]string{"no_face", "exists"})
	m.Refused("exists")
	m.Refused("exists")
	lines := scrape(t, m)
	require.Contains(t, lines, `imago_refusals_total{reason="no_face"} 0`)
	require.Contains(t, lines, `imago_refusals_total{reason="exists"} 2`)
}

func TestSearches(t *testing.T) {
	m := telemetry.New("test")
	m.ExpectSearches([]string{"users", "blacklist"})
	m.Verified("blacklist", true)
	m.Searched("users", true)
	m.Searched("users", false)
	m.Searched("users", false)
	lines := scrape(t, m)
	require.Contains(t, lines, `imago_searches_total{collection="users",result="match"} 1`)
	require.Contains(t, lines, `imago_searches_total{collection="users",result="no_match"} 2`)
	require.Contains(t, lines, `imago_searches_total{collection="blacklist",result="match"} 0`)
	require.Contains(t, lines, `imago_verifications_total{collection="blacklist",result="match"} 1`)
	require.Contains(t, lines, `imago_verifications_total{collection="users",result="no_match"} 0`)
}

func TestTokenAndAuditCounters(t *testing.T) {
	m := telemetry.New("test")
	require.Contains(t, scrape(t, m), `imago_audit_errors_total 0`)
	m.ExpectTokenRefusal("expired")
	m.ExpectTokenRefusal("replayed")
	m.TokenRefused("expired")
	m.AuditFailed()
	lines := scrape(t, m)
	require.Contains(t, lines, `imago_token_refusals_total{reason="expired"} 1`)
	require.Contains(t, lines, `imago_token_refusals_total{reason="replayed"} 0`)
	require.Contains(t, lines, `imago_audit_errors_total 1`)
}

func TestQueueGauges(t *testing.T) {
	m := telemetry.New("test")
	working, waiting := 0, 0
	m.WatchQueue(func() (int, int) { return working, waiting }, 4, 128)
	require.Contains(t, scrape(t, m), `imago_inference_queue_depth 0`)
	working, waiting = 4, 17
	lines := scrape(t, m)
	require.Contains(t, lines, `imago_inference_working 4`)
	require.Contains(t, lines, `imago_inference_queue_depth 17`)
	require.Contains(t, lines, `imago_inference_workers 4`)
	require.Contains(t, lines, `imago_inference_queue_limit 128`)
}

// faulty is a store whose every call returns err.
type faulty struct {
	port
	err error
}

func (f faulty) Search(context.Context, ports.Query) ([]ports.Match, error) { return nil, f.err }

func (f faulty) Count(context.Context, string) (int, error) { return 0, f.err }

func (f faulty) Scan(context.Context, ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) { yield(ports.Record{}, f.err) }
}

// Only what the store could not do is its error; what a caller asked for and
// could not have is an answer.
func TestStoreErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		kind string
	}{
		{nil, ""},
		{ports.ErrNotFound, ""},
		{ports.ErrExists, ""},
		{fmt.Errorf("x: %w", ports.ErrInvalid), ""},
		{ports.ErrForbidden, ""},
		{context.Canceled, ""},
		{fmt.Errorf("x: %w: %w", ports.ErrUnavailable, context.DeadlineExceeded), "unavailable"},
		{context.DeadlineExceeded, "timeout"},
		{ports.ErrSpaceMismatch, "space_mismatch"},
		{errors.New("unforeseen"), "other"},
	} {
		m := telemetry.New("test")
		s := telemetry.WrapVectorStore(faulty{err: tt.err}, m, nil)
		_, err := s.Search(t.Context(), ports.Query{})
		require.ErrorIs(t, err, tt.err)
		_, err = s.Count(t.Context(), "users")
		require.ErrorIs(t, err, tt.err)
		for range s.Scan(t.Context(), ports.Everything("users", "")) {
		}
		lines := scrape(t, m)
		for _, operation := range []string{"search", "count", "scan", "add"} {
			for _, kind := range []string{"unavailable", "timeout", "space_mismatch", "other"} {
				want := 0
				if kind == tt.kind && operation != "add" {
					want = 1
				}
				require.Contains(t, lines, fmt.Sprintf(`imago_store_errors_total{kind="%s",operation="%s"} %d`, kind, operation, want), "%v", tt.err)
			}
		}
	}
}

// Best scores are counted by collection and result, and are not public.
func TestBestScores(t *testing.T) {
	m := telemetry.New("v1")
	m.ExpectBest([]string{"users"}, "no_match")
	m.BestFound("users", "match", 80)
	m.BestFound("users", "match", 99.95)
	lines := strings.Join(scrape(t, m), "\n")
	for _, want := range []string{
		`imago_search_best_similarity_count{collection="users",result="no_match"} 0`,
		`imago_search_best_similarity_bucket{collection="users",result="match",le="70"} 0`,
		`imago_search_best_similarity_bucket{collection="users",result="match",le="80"} 1`,
		`imago_search_best_similarity_bucket{collection="users",result="match",le="99.99"} 2`,
	} {
		require.Contains(t, lines, want)
	}
	public := httptest.NewRecorder()
	m.PublicHandler().ServeHTTP(public, httptest.NewRequest("GET", "/metrics", nil))
	require.Contains(t, public.Body.String(), "imago_build_info")
	require.NotContains(t, public.Body.String(), "best_similarity")
}
