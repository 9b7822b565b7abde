package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"imago/ports"
)

// WatchReplica registers the metrics of a store that searches in memory, as stats returns
// them at each scrape. How many faces it has is not public. Call it once.
func (m *Metrics) WatchReplica(stats func() ports.ReplicaStats) {
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	m.registry.MustRegister(replica{stats, []figure{
		newFigure(gauge, "usable", "1 while searches are answered from memory, 0 while they go to the database.", func(s ports.ReplicaStats) int64 {
			if s.Usable {
				return 1
			}
			return 0
		}),
		newFigure(gauge, "lag_changes", "Commits that the copy in memory is known to lack.", func(s ports.ReplicaStats) int64 { return s.Behind }),
		newFigure(counter, "changes_total", "Commits that the copy in memory has caught up with.", func(s ports.ReplicaStats) int64 { return s.Applied }),
		newFigure(counter, "loads_total", "Times that all faces were read into memory, or that was tried.", func(s ports.ReplicaStats) int64 { return s.Loads }),
		newFigure(counter, "checks_total", "Questions to the database whether the copy is behind.", func(s ports.ReplicaStats) int64 { return s.Checks }),
		newFigure(counter, "failed_checks_total", "Checks that failed.", func(s ports.ReplicaStats) int64 { return s.FailedChecks }),
		newFigure(counter, "fallbacks_total", "Searches that went to the database.", func(s ports.ReplicaStats) int64 { return s.Fallbacks }),
	}})
	m.sizes.MustRegister(replica{stats, []figure{
		newFigure(gauge, "faces", "Faces in memory, of all collections.", func(s ports.ReplicaStats) int64 { return s.Faces }),
		newFigure(gauge, "bytes", "Memory of the faces.", func(s ports.ReplicaStats) int64 { return s.Bytes }),
	}})
}

// replica is a collector of some of the figures of one moment.
type replica struct {
	stats   func() ports.ReplicaStats
	figures []figure
}

// figure is one metric of a replica.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(ports.ReplicaStats) int64
}

func newFigure(kind prometheus.ValueType, name, help string, value func(ports.ReplicaStats) int64) figure {
	return figure{prometheus.NewDesc("imago_replica_"+name, help, nil, nil), kind, value}
}

// Describe implements prometheus.Collector.
func (r replica) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range r.figures {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (r replica) Collect(ch chan<- prometheus.Metric) {
	stats := r.stats()
	for _, f := range r.figures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(f.value(stats)))
	}
}
