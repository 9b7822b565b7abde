package loadgen

import (
	"bytes"
	"image/png"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// thousand returns a report of latencies of 1 to 1000 ms.
func thousand() Report {
	now := time.Now()
	r := newRecorder(now, now.Add(time.Hour))
	for i := range 1000 {
		r.add(search, now, now.Add(time.Duration(i+1)*time.Millisecond), outcome{status: 200})
	}
	return r.report()
}

func TestPercentiles(t *testing.T) {
	l := thousand().Served
	require.Equal(t, int64(1000), l.Count)
	for want, got := range map[float64]float64{500: l.P50, 900: l.P90, 950: l.P95, 990: l.P99, 999: l.P999, 1000: l.Max, 500.5: l.Mean} {
		require.InEpsilon(t, want, got, 0.002)
	}
	for _, p := range thousand().curve {
		require.InEpsilon(t, max(1, 1000*(1-math.Pow(10, -p.X))), p.Y, 0.01, "%v", p)
	}
	require.Equal(t, Latency{}, newRecorder(time.Time{}, time.Time{}).report().Served, "nothing is no NaN")
}

func TestText(t *testing.T) {
	r := thousand()
	r.Concurrency, r.Rate, r.Throughput, r.Unsent, r.Unfound = 8, 40, 39.5, 3, 7
	r.Shed = &Shed{Latency{Count: 5, P50: 1, P99: 2, Max: 3}, RetryAfter{4, 1, 5}}
	r.Failures = []Failure{{"enrol", "400", 2, "no face"}}
	var out strings.Builder
	require.NoError(t, WriteText(&out, []Report{r}))
	lines := strings.Split(out.String(), "\n")
	require.Equal(t, []string{"8", "40", "39.5", "search", "1000"}, strings.Fields(lines[1])[:5])
	require.True(t, strings.HasSuffix(strings.TrimSpace(lines[1]), "5       2"), lines[1])
	for _, note := range []string{"7 searches found nobody", "3 arrivals", "5 shed (503): p50 1.0 ms, p99 2.0 ms, max 3.0 ms; Retry-After 1 to 5 s on 4", `2 × enrol: 400: "no face"`} {
		require.Contains(t, out.String(), "8 at once: "+note)
	}
}

func TestChart(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, WriteChart(&out, "title", []Report{thousand(), {}, thousand()}))
	img, err := png.Decode(&out)
	require.NoError(t, err)
	drawn, third := false, palette[2]
	for x := range img.Bounds().Dx() {
		for y := range img.Bounds().Dy() {
			r, g, b, _ := img.At(x, y).RGBA()
			drawn = drawn || r>>8 == uint32(third.R) && g>>8 == uint32(third.G) && b>>8 == uint32(third.B)
		}
	}
	require.True(t, drawn, "the third run has its line")
	require.ErrorContains(t, WriteChart(&out, "title", []Report{{}}), "nothing to draw")
}

func TestNineTicks(t *testing.T) {
	var labels []string
	for _, tick := range nineTicks(0, 4) {
		labels = append(labels, tick.Label)
	}
	require.Equal(t, []string{"0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"}, labels)
}
