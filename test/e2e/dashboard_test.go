package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	goyaml "go.yaml.in/yaml/v3"

	"imago/test/fixture"
	"imago/test/pages"
	"imago/test/servers"
)

// queries returns every PromQL expression of the dashboard and of the alerts, by
// the name of the panel or alert.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(fixture.Root(t), "docker", name))
		require.NoError(t, err)
		return data
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(read("grafana-dashboard.json"), &dashboard))
	for _, panel := range dashboard.Panels {
		for i, target := range panel.Targets {
			all[fmt.Sprintf("%s %d", panel.Title, i)] = target.Expr
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Record, Expr string }
		}
	}
	require.NoError(t, goyaml.Unmarshal(read("prometheus-alerts.yaml"), &rules))
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			all[rule.Alert+rule.Record] = rule.Expr
		}
	}
	require.Greater(t, len(all), 30)
	return all
}

var (
	// selector is a metric with its matchers.
	selector = regexp.MustCompile(`\b((?:imago|process|go)_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|on) \(([a-z_, ]+)\)`)
)

// Where failures are divided by requests, both count the same ones: a probe of an imago
// that is not ready fails, too, and more than all requests could be.
func TestFailureRatiosCountTheSameRequests(t *testing.T) {
	t.Parallel()
	ratios := 0
	for where, query := range queries(t) {
		of, by, divided := strings.Cut(query, "/ sum")
		if !divided || !strings.Contains(of, "imago_http_requests_total") {
			continue
		}
		ratios++
		without := func(part string) string {
			matchers := selector.FindStringSubmatch(part)[2]
			return regexp.MustCompile(`,status=~?"[^"]*"|status=~?"[^"]*",?`).ReplaceAllString(matchers, "")
		}
		require.Equal(t, without(by), without(of), where)
	}
	require.Positive(t, ratios)
}

// withEveryMetric starts an imago that has all of them.
func withEveryMetric(t *testing.T) *server {
	t.Helper()
	return startTLS(t, fixture.NewAuthority(t, "test authority"), t.TempDir(), nil,
		"IMAGO_STORE_DRIVER=pgvector", "IMAGO_STORE_PGVECTOR_DSN="+servers.Postgres(t).DSN())
}

// What the dashboard and the alerts ask for is there: every metric, every label
// and, where it is named outright, every value.
func TestDashboardAndAlertsAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	s := withEveryMetric(t)
	require.Equal(t, http.StatusOK, s.enrol("a", portrait(t)).status)
	require.Equal(t, http.StatusOK, s.search(portrait(t)).status)
	text := s.opsMetrics()
	has := func(pattern string) bool { return regexp.MustCompile(`(?m)^` + pattern).MatchString(text) }
	asked := map[string]bool{}
	for where, query := range queries(t) {
		for _, m := range selector.FindAllStringSubmatch(query, -1) {
			name, matchers := m[1], m[2]
			asked[name] = true
			require.True(t, has(name+`[{ ]`), "%s: %s", where, name)
			for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
				label, operator, value := m[1], m[2], m[3]
				if label == "job" || label == "instance" { // Prometheus adds them
					continue
				}
				require.True(t, has(name+`\{[^}]*\b`+label+`="`), "%s: %s has no label %s", where, name, label)
				if operator == "=" && value != "5xx" {
					require.True(t, has(name+`\{[^}]*\b`+label+`="`+regexp.QuoteMeta(value)+`"`), "%s: %s has no %s %s", where, name, label, value)
				}
			}
		}
		for _, m := range grouping.FindAllStringSubmatch(query, -1) {
			for _, label := range strings.Split(m[1], ", ") {
				require.True(t, label == "job" || label == "instance" || has(`imago_[a-z_]+\{[^}]*\b`+label+`="`), "%s: label %s", where, label)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (imago_\w+) (\w+)`).FindAllStringSubmatch(text, -1) {
		name := m[1]
		used := asked[name] || asked[name+"_bucket"] || asked[name+"_sum"]
		require.True(t, used, "%s is on no panel and in no alert", name)
	}
}

// The page names every metric, and every reason that the metrics can have.
func TestPageNamesEveryMetric(t *testing.T) {
	t.Parallel()
	s := withEveryMetric(t)
	require.Equal(t, http.StatusOK, s.enrol("a", portrait(t)).status)
	page := pages.Read(t, "adapters/telemetry/README.md").Text
	text := s.opsMetrics()
	names := regexp.MustCompile(`(?m)^# TYPE (imago_\w+) |^imago_refusals_total\{reason="(\w+)"`).FindAllStringSubmatch(text, -1)
	require.Greater(t, len(names), 40)
	for _, name := range names {
		require.Contains(t, page, "`"+name[1]+name[2]+"`")
	}
}
