package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// bestBuckets are the upper bounds of the best scores, in percent. They are close together
// where the same person's are: most reach 99 %.
var bestBuckets = []float64{20, 40, 50, 60, 70, 80, 85, 90, 95, 98, 99, 99.5, 99.9, 99.99, 100}

// newBest registers the histogram of best scores. It must not be public: whoever sees how
// similar a picture below the threshold is can change it, step by step, until it matches.
func newBest(r prometheus.Registerer) *prometheus.HistogramVec {
	return promauto.With(r).NewHistogramVec(prometheus.HistogramOpts{
		Name:    "imago_search_best_similarity",
		Help:    "Similarity of the most similar user in percent, 0 where nobody is near, by the collection's own threshold.",
		Buckets: bestBuckets,
	}, []string{"collection", "result"})
}

// ExpectBest creates the series of the collections with a result, so that each starts at
// zero.
func (m *Metrics) ExpectBest(collections []string, result string) {
	for _, collection := range collections {
		m.best.WithLabelValues(collection, result)
	}
}

// BestFound counts the best score of a search of an existing collection, in percent, under
// one of a small set of results.
func (m *Metrics) BestFound(collection, result string, similarity float64) {
	m.best.WithLabelValues(collection, result).Observe(similarity)
}
