package e2e

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkGrowthMemory measures what a request leaves behind in memory: 2,000
// searches and 200 people who are enrolled and removed again, with a look at the
// server after every 500 searches. The slope is taken between the first look and
// the last, because the server warms up before.
func BenchmarkGrowthMemory(b *testing.B) {
	const looks, searches, changes = 4, 500, 50
	s := start(b)
	picture := portrait(b)
	require.Equal(b, 200, s.enrol("somebody", picture).status)
	for b.Loop() {
		held := make([]float64, looks)
		for look := range looks {
			for i := range searches {
				require.Equal(b, 200, s.search(picture).status)
				if i%(searches/changes) == 0 {
					passing := strconv.Itoa(look*searches + i)
					require.Equal(b, 200, s.enrol(passing, picture).status)
					require.Equal(b, 200, s.unenrol(passing).status)
				}
			}
			held[look] = float64(s.rss())
			b.Logf("after %d searches and %d changes: %.1f MiB", (look+1)*searches, 2*(look+1)*changes, held[look]/(1<<20))
		}
		b.ReportMetric((held[looks-1]-held[0])/float64((looks-1)*(searches+2*changes)), "bytes/request")
		b.ReportMetric(held[looks-1]/(1<<20), "MiB")
		b.ReportMetric(0, "ns/op")
	}
}
