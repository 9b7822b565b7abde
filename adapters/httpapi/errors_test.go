package httpapi

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// sentinels are all that ports exports, by name; the test below fails when
// ports has one that is missing here.
var sentinels = map[string]error{
	"ErrInvalid": ports.ErrInvalid, "ErrTooLarge": ports.ErrTooLarge, "ErrExists": ports.ErrExists, "ErrOnlyFace": ports.ErrOnlyFace,
	"ErrNotFound": ports.ErrNotFound, "ErrUnauthorized": ports.ErrUnauthorized, "ErrForbidden": ports.ErrForbidden,
	"ErrRateLimited": ports.ErrRateLimited, "ErrOverloaded": ports.ErrOverloaded, "ErrUnavailable": ports.ErrUnavailable, "ErrSpaceMismatch": ports.ErrSpaceMismatch,
}

func TestEverySentinelHasAMapping(t *testing.T) {
	declared := declaredSentinels(t)
	require.GreaterOrEqual(t, len(declared), 9)
	for _, name := range declared {
		if name == "ErrNotReady" || name == "ErrResembles" {
			continue // the one comes beside ErrUnavailable, of the other the gallery makes a Refusal
		}
		err, known := sentinels[name]
		require.True(t, known, "ports.%s is new: add it to the errorMappings and to this test", name)
		row := slices.IndexFunc(errorMappings, func(m errorMapping) bool { return m.kind == err })
		require.GreaterOrEqual(t, row, 0, "ports.%s has no mapping", name)
	}
}

// declaredSentinels reads the names of the exported errors from the source.
func declaredSentinels(t *testing.T) []string {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(fixture.Root(t), "ports", "errors.go"), nil, 0)
	require.NoError(t, err)
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, name := range spec.Names {
				if strings.HasPrefix(name.Name, "Err") {
					names = append(names, name.Name)
				}
			}
		}
		return true
	})
	return names
}

func TestEveryStatusHasADetail(t *testing.T) {
	all := append([]errorMapping{clientGone, unknown}, errorMappings...)
	for _, m := range all {
		p := newProblem(m.status, nil)
		require.NotEmpty(t, p.Title, m.status)
		require.NotEmpty(t, p.Detail, m.status)
		require.Regexp(t, `^[a-z_]+$`, m.code, m.status)
		require.Equal(t, fmt.Sprintf("https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/%d", m.status), p.Type)
	}
}

func TestClassify(t *testing.T) {
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	cause := errors.New("dial 10.0.0.1: secret detail")
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		shown  []string
	}{
		{"refusal", t.Context(), ports.Refuse(ports.ErrInvalid, "a", "b"), 400, []string{"a", "b"}},
		{"wrapped refusal", t.Context(), fmt.Errorf("x: %w", ports.Refuse(ports.ErrTooLarge, "big")), 413, []string{"big"}},
		{"bare invalid", t.Context(), ports.ErrInvalid, 400, nil},
		{"exists", t.Context(), fmt.Errorf("pg: %w: %w", ports.ErrExists, cause), 400, []string{"provided userId already exists"}},
		{"exists, with reasons", t.Context(), ports.Refuse(ports.ErrExists, "own"), 400, []string{"own"}},
		{"not found", t.Context(), ports.ErrNotFound, 404, nil},
		{"unauthorized", t.Context(), ports.Refuse(ports.ErrUnauthorized, "the key has expired"), 401, nil},
		{"forbidden", t.Context(), ports.Refuse(ports.ErrForbidden, "not yours"), 403, []string{"not yours"}},
		{"rate limited", t.Context(), ports.ErrRateLimited, 429, nil},
		{"rate limited, with a time", t.Context(), fmt.Errorf("x: %w", &ports.RateLimited{After: time.Millisecond}), 429, nil},
		{"overloaded", t.Context(), ports.ErrOverloaded, 503, nil},
		{"unavailable", t.Context(), fmt.Errorf("pg: %w: %w", ports.ErrUnavailable, cause), 503, nil},
		{"a backend's own deadline", t.Context(), fmt.Errorf("%w: %w", ports.ErrUnavailable, context.DeadlineExceeded), 503, nil},
		{"space mismatch", t.Context(), ports.ErrSpaceMismatch, 503, nil},
		{"deadline", t.Context(), fmt.Errorf("x: %w", context.DeadlineExceeded), 504, nil},
		{"client gone", gone, fmt.Errorf("x: %w", context.Canceled), 499, nil},
		{"cancelled, client there", t.Context(), context.Canceled, 500, nil},
		{"client gone, other error", gone, ports.ErrExists, 400, []string{"provided userId already exists"}},
		{"anything else", t.Context(), cause, 500, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := classify(tt.ctx, tt.err)
			require.Equal(t, tt.status, m.status)
			shown, codes := m.reasons(tt.err)
			require.Equal(t, tt.shown, shown)
			require.Len(t, codes, max(1, len(shown)))

			rec := httptest.NewRecorder()
			writeProblem(rec, httptest.NewRequest("GET", "/", nil), m, tt.err)
			require.NotContains(t, rec.Body.String(), "secret")
			temporary := tt.status == http.StatusServiceUnavailable && tt.name != "space mismatch" || tt.status == http.StatusTooManyRequests
			require.Equal(t, temporary, rec.Header().Get("Retry-After") != "")
		})
	}
}

func TestPrefersProblem(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                false,
		"*/*":                             false,
		"application/json":                false,
		"application/*":                   false,
		"application/problem+json":        true,
		"Application/Problem+JSON":        true,
		"application/problem+json;q=0":    false,
		"application/problem+json; q=0.5": true,
		"application/problem+json, application/json":                true,
		"application/json, application/problem+json;q=0.9":          false,
		"application/json;q=0.4, application/problem+json;q=0.5":    true,
		"application/problem+json;q=0.5, */*;q=0.8":                 false,
		"application/problem+json;q=0.5, application/*;q=0.4, */*":  true,
		"*/*, application/json;q=0.1, application/problem+json;q=1": true,
		"application/problem+json;q=2":                              false,
		"application/problem+json;q=NaN":                            false,
		"application/problem+json;q=high":                           false,
		", ;;, application/problem+json":                            true,
	} {
		require.Equal(t, want, prefersProblem([]string{accept}), accept)
	}
	require.True(t, prefersProblem([]string{"text/html", "application/problem+json"}))
	require.False(t, prefersProblem(nil))
}

func TestProblemMediaType(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "application/problem+json")
	rec := httptest.NewRecorder()
	writeProblem(rec, r, classify(t.Context(), ports.Refuse(ports.ErrInvalid, "1 < 2 & 3")), ports.Refuse(ports.ErrInvalid, "1 < 2 & 3"))
	require.Equal(t, "application/problem+json", rec.Header().Get("Content-Type"))
	require.Contains(t, rec.Body.String(), `"errors":["1 < 2 & 3"]`)
}
