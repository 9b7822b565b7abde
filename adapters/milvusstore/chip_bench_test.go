package milvusstore

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
	"imago/test/servers"
)

// BenchmarkChips says what chips cost beside none and beside a collection without their field:
// the latency of a search, enrolments of 64 callers, scans, and the memory of the server, once
// with faces as they were written and once loaded from its files.
func BenchmarkChips(b *testing.B) {
	faces := 5000
	if set := os.Getenv("IMAGO_BENCH_FACES"); set != "" {
		var err error
		faces, err = strconv.Atoi(set)
		require.NoError(b, err)
	}
	b.Run("no-field", func(b *testing.B) { benchmarkChips(b, faces, 0, layout-1) })
	for _, size := range []int{0, 30_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) { benchmarkChips(b, faces, size, layout) })
	}
}

func benchmarkChips(b *testing.B, faces, size, version int) {
	const dimension, enrolled = 128, 1000
	server := servers.OwnMilvus(b, servers.MilvusOptions{})
	cfg, space := settingsAt(server.Address()), testSpace(dimension)
	if version < layout {
		createOld(b, cfg, space, version)
	}
	s := started(b, cfg, space)
	random := seeded(21)
	people := func(prefix string, n int) []ports.Record {
		records := make([]ports.Record, n)
		for i := range records {
			records[i] = record(fmt.Sprint(prefix, i), "f", fixture.UnitVector(random, dimension))
			records[i].Chip = make([]byte, size)
			for j := range records[i].Chip {
				records[i].Chip[j] = byte(random.Uint32())
			}
		}
		return records
	}
	for filled := 0; filled < faces; filled += 500 {
		var rows []row
		for _, r := range people(fmt.Sprint("of ", filled, " "), min(500, faces-filled)) {
			rows = append(rows, faceRow(r, 1, true))
		}
		require.NoError(b, s.driver.table.insert(b.Context(), facesPartition, rows...))
	}
	began, further := time.Now(), people("enrolled ", enrolled)
	enrol(b, s, further)
	enrolment := time.Since(began)
	written := residentMB(b, server)

	connection, name := outside(b, s.driver.cfg), s.driver.cfg.Collection
	require.NoError(b, connection.(admin).Flush(b.Context(), name, false))
	require.NoError(b, connection.ReleaseCollection(b.Context(), name))
	require.NoError(b, connection.LoadCollection(b.Context(), name, false))

	var took []time.Duration
	for b.Loop() {
		at := time.Now()
		_, err := s.Search(b.Context(), ports.Query{Collection: users, Vector: fixture.UnitVector(random, dimension), K: 10, MinScore: -1})
		require.NoError(b, err)
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-p50")
	b.ReportMetric(enrolled/enrolment.Seconds(), "enrolments/s")
	b.ReportMetric(written, "server-MB-written")
	b.ReportMetric(residentMB(b, server), "server-MB-loaded")
	for _, chips := range []bool{false, true} {
		selection := ports.Everything(users, "")
		selection.WithChips = chips
		began, n := time.Now(), 0
		for _, err := range s.Scan(b.Context(), selection) {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, faces+enrolled, n)
		b.ReportMetric(float64(n)/time.Since(began).Seconds(), map[bool]string{false: "scanned/s", true: "with-chips/s"}[chips])
	}
}

// residentMB returns the memory of a server but that of its program file.
func residentMB(b *testing.B, server *servers.MilvusServer) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.PID()))
	require.NoError(b, err)
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(b, err)
	return float64(kilobytes) / 1000
}
