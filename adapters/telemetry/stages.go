package telemetry

import (
	"context"

	"imago/ports"
)

// The decorators below time the calls that cost something, failed ones too, and
// pass everything else through. Each is a ports.HealthChecker exactly if what it
// wraps is one.

// WrapDecoder times the stage decode.
func WrapDecoder(next ports.Decoder, m *Metrics) ports.Decoder {
	d := &decoder{next, m}
	if health, ok := next.(ports.HealthChecker); ok {
		return struct {
			*decoder
			ports.HealthChecker
		}{d, health}
	}
	return d
}

type decoder struct {
	ports.Decoder
	metrics *Metrics
}

func (d *decoder) Decode(ctx context.Context, data []byte, longSide int) (*ports.Image, error) {
	defer d.metrics.time(stageDecode)()
	return d.Decoder.Decode(ctx, data, longSide)
}

// WrapDetector times the stage detect.
func WrapDetector(next ports.Detector, m *Metrics) ports.Detector {
	d := &detector{next, m}
	if health, ok := next.(ports.HealthChecker); ok {
		return struct {
			*detector
			ports.HealthChecker
		}{d, health}
	}
	return d
}

type detector struct {
	ports.Detector
	metrics *Metrics
}

func (d *detector) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	defer d.metrics.time(stageDetect)()
	return d.Detector.Detect(ctx, img, longSide)
}

// WrapEmbedder times the stage embed.
func WrapEmbedder(next ports.Embedder, m *Metrics) ports.Embedder {
	e := &embedder{next, m}
	if health, ok := next.(ports.HealthChecker); ok {
		return struct {
			*embedder
			ports.HealthChecker
		}{e, health}
	}
	return e
}

type embedder struct {
	ports.Embedder
	metrics *Metrics
}

func (e *embedder) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	defer e.metrics.time(stageEmbed)()
	return e.Embedder.Embed(ctx, chips)
}

// WrapVectorStore times the stages search, store_add and store_remove.
func WrapVectorStore(next ports.VectorStore, m *Metrics) ports.VectorStore {
	s := &store{next, m}
	if health, ok := next.(ports.HealthChecker); ok {
		return struct {
			*store
			ports.HealthChecker
		}{s, health}
	}
	return s
}

type store struct {
	ports.VectorStore
	metrics *Metrics
}

func (s *store) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	defer s.metrics.time(stageStoreAdd)()
	return s.VectorStore.Add(ctx, r, mode)
}

func (s *store) Remove(ctx context.Context, collection, userID, owner string) error {
	defer s.metrics.time(stageStoreRemove)()
	return s.VectorStore.Remove(ctx, collection, userID, owner)
}

func (s *store) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	defer s.metrics.time(stageSearch)()
	return s.VectorStore.Search(ctx, q)
}
