package telemetry

import (
	"context"
	"iter"

	"imago/ports"
)

// The decorators below measure the expensive calls, failed ones too, and delegate
// everything else. The tracing may be nil.

// observer records for the decorators.
type observer struct {
	metrics *Metrics
	tracing *Tracing
}

// WrapDecoder measures the stage decode.
func WrapDecoder(next ports.Decoder, m *Metrics, t *Tracing) ports.Decoder {
	return &decoder{next, observer{m, t}}
}

type decoder struct {
	ports.Decoder
	observer
}

func (d *decoder) Decode(ctx context.Context, data []byte, longSide int) (img *ports.Image, err error) {
	ctx, s := d.begin(ctx, stageDecode, "decode")
	defer func() { s.end(err) }()
	return d.Decoder.Decode(ctx, data, longSide)
}

// WrapDetector measures the stage detect.
func WrapDetector(next ports.Detector, m *Metrics, t *Tracing) ports.Detector {
	return &detector{next, observer{m, t}}
}

type detector struct {
	ports.Detector
	observer
}

func (d *detector) Detect(ctx context.Context, img *ports.Image, longSide int) (faces []ports.Face, err error) {
	ctx, s := d.begin(ctx, stageDetect, "detect")
	defer func() { s.end(err) }()
	return d.Detector.Detect(ctx, img, longSide)
}

// WrapEmbedder measures the stage embed.
func WrapEmbedder(next ports.Embedder, m *Metrics, t *Tracing) ports.Embedder {
	return &embedder{next, observer{m, t}}
}

type embedder struct {
	ports.Embedder
	observer
}

func (e *embedder) Embed(ctx context.Context, chips []*ports.Chip) (vectors [][]float32, err error) {
	ctx, s := e.begin(ctx, stageEmbed, "embed")
	defer func() { s.end(err) }()
	return e.Embedder.Embed(ctx, chips)
}

// WrapVectorStore measures the stages search, store_add, store_remove and
// store_get, and counts the failures of every call.
func WrapVectorStore(next ports.VectorStore, m *Metrics, t *Tracing) ports.VectorStore {
	s := &store{next, observer{m, t}}
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
	observer
}

func (s *store) Add(ctx context.Context, r ports.Record, mode ports.Mode) (err error) {
	ctx, stage := s.begin(ctx, stageStoreAdd, "store.add")
	defer func() { stage.end(err); s.metrics.storeFailed(callAdd, err) }()
	return s.VectorStore.Add(ctx, r, mode)
}

func (s *store) Remove(ctx context.Context, removal ports.Removal, owners ports.Owners) (err error) {
	ctx, stage := s.begin(ctx, stageStoreRemove, "store.remove")
	defer func() { stage.end(err); s.metrics.storeFailed(callRemove, err) }()
	return s.VectorStore.Remove(ctx, removal, owners)
}

func (s *store) Get(ctx context.Context, user ports.UserKey) (records []ports.Record, err error) {
	ctx, stage := s.begin(ctx, stageStoreGet, "store.get")
	defer func() { stage.end(err); s.metrics.storeFailed(callGet, err) }()
	return s.VectorStore.Get(ctx, user)
}

func (s *store) Search(ctx context.Context, q ports.Query) (matches []ports.Match, err error) {
	ctx, stage := s.begin(ctx, stageSearch, "store.search")
	defer func() { stage.end(err); s.metrics.storeFailed(callSearch, err) }()
	return s.VectorStore.Search(ctx, q)
}

func (s *store) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		for r, err := range s.VectorStore.Scan(ctx, selection) {
			s.metrics.storeFailed(callScan, err)
			if !yield(r, err) {
				return
			}
		}
	}
}

func (s *store) Count(ctx context.Context, collection string) (int, error) {
	n, err := s.VectorStore.Count(ctx, collection)
	s.metrics.storeFailed(callCount, err)
	return n, err
}
