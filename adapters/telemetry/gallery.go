package telemetry

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"imago/ports"
)

// countTimeout bounds all counting of one scrape, well below the default scrape timeout
// of Prometheus, 10 seconds.
const countTimeout = 2 * time.Second

// Counter counts the users of a collection; every ports.VectorStore is one.
type Counter interface {
	// Count returns the number of users in a collection.
	Count(ctx context.Context, collection string) (int, error)
}

var _ Counter = ports.VectorStore(nil)

// WatchGallery registers the gauge imago_gallery_users of the named collections. The
// store counts at each scrape; a collection that it cannot count in time is missing from
// that scrape. Call it once.
func (m *Metrics) WatchGallery(store Counter, collections []string) {
	m.sizes.MustRegister(&gallery{
		store: store, collections: slices.Clone(collections),
		users: prometheus.NewDesc("imago_gallery_users", "Users enrolled in a collection.", []string{"collection"}, nil),
	})
}

// gallery is the collector of the gauge.
type gallery struct {
	store       Counter
	collections []string
	users       *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (g *gallery) Describe(ch chan<- *prometheus.Desc) { ch <- g.users }

// Collect implements prometheus.Collector.
func (g *gallery) Collect(ch chan<- prometheus.Metric) {
	// The interface of collectors has no context to derive this one from.
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	for _, name := range g.collections {
		n, err := g.store.Count(ctx, name)
		if err != nil {
			continue
		}
		ch <- prometheus.MustNewConstMetric(g.users, prometheus.GaugeValue, float64(n), name)
	}
}
