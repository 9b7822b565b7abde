package deploy

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/test/fixture"
)

// day is how many searches of a collection have each result in an hour of a day.
type day struct{ match, nearMiss, noMatch float64 }

// raised returns the alerts about collections after two weeks of days of one kind and a last
// day.
func raised(t *testing.T, collections map[string][2]day) []string {
	t.Helper()
	var series strings.Builder
	for name, days := range collections {
		write := func(instance, result string, before, last float64) {
			fmt.Fprintf(&series, `imago_search_best_similarity_count{job="imago",instance=%q,collection=%q,result=%q}`, instance, name, result)
			// Half of it is another instance's.
			fmt.Fprintf(&series, "%s %v\n", strings.Repeat(fmt.Sprintf(" %v", before/2), 14), last/2)
		}
		for _, instance := range []string{"a", "b"} {
			write(instance, "match", days[0].match, days[1].match)
			write(instance, "near_miss", days[0].nearMiss, days[1].nearMiss)
			write(instance, "no_match", days[0].noMatch, days[1].noMatch)
		}
	}
	rules := filepath.Join(fixture.Root(t), "docker", "prometheus-alerts.yaml")
	var alerts []string
	for line := range strings.Lines(mustTool(t, series.String(), nil, "alerts", rules)) {
		alerts = append(alerts, strings.TrimSpace(line))
	}
	return alerts
}

// The alerts about drift are raised by a change of shares that chance does not explain, in
// the collection that has it.
func TestDriftRaisesAlerts(t *testing.T) {
	require.ElementsMatch(t, []string{
		`ImagoNearMissesMoved {collection="camera moved", job="imago", result="near_miss"} 7.0%`,
		`ImagoMatchesMoved {collection="camera moved", job="imago", result="match"} -7.0%`,
		`ImagoNearMissesMoved {collection="camera mended", job="imago", result="near_miss"} -8.0%`,
		`ImagoMatchesMoved {collection="camera mended", job="imago", result="match"} 8.0%`,
		`ImagoMatchesMoved {collection="watch list with a hub", job="imago", result="match"} 1.9%`,
	}, raised(t, map[string][2]day{
		"camera moved":              {{95, 3, 2}, {88, 10, 2}},
		"camera mended":             {{87, 11, 2}, {95, 3, 2}},
		"watch list with a hub":     {{0, 1, 30}, {0.6, 1, 30}},
		"watch list with one match": {{0, 1, 30}, {1. / 24, 1, 30}},
		"busier":                    {{95, 3, 2}, {950, 30, 20}},
		"about the same":            {{95, 3, 2}, {94, 4, 2}},
		"quiet door":                {{4, 0, 1}, {1, 3, 1}},
		"new":                       {{0, 0, 0}, {95, 3, 2}},
	}))
}
