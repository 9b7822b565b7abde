package contract

import (
	"context"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"imago/ports"
)

// reference is the simplest store that keeps every promise: the oracle behind
// one lock, with the checks of input and context in front. What is opened over
// the same archive shares its records.
type reference struct{ *archive }

type archive struct {
	mu    sync.Mutex
	space ports.Space
	kept  oracle
}

var _ ports.VectorStore = (*reference)(nil)

func (s *reference) Add(ctx context.Context, r ports.Record, mode ports.Mode) error {
	if err := s.judge(ctx, r.Collection, r.Vector, r.UserID, r.FaceID); err != nil {
		return err
	}
	if base := mode.Base(); base < ports.First || base > ports.Replacement || mode == ports.First|ports.IfOwner {
		return ports.ErrInvalid
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.EnrolledAt = r.EnrolledAt.UTC().Truncate(time.Microsecond)
	return s.kept.add(cloned(r), mode)
}

func (s *reference) Remove(ctx context.Context, collection, user, owner string) error {
	ids := []string{user}
	if owner != "" {
		ids = append(ids, owner)
	}
	if err := s.judge(ctx, collection, s.unit(), ids...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.remove(collection, user, owner)
}

func (s *reference) Get(ctx context.Context, collection, user string) ([]ports.Record, error) {
	if err := s.judge(ctx, collection, s.unit(), user); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	faces := s.kept.get(collection, user)
	if len(faces) == 0 {
		return nil, ports.ErrNotFound
	}
	for i := range faces {
		faces[i] = cloned(faces[i])
	}
	return faces, nil
}

func (s *reference) Search(ctx context.Context, q ports.Query) ([]ports.Match, error) {
	if err := s.judge(ctx, q.Collection, q.Vector); err != nil {
		return nil, err
	}
	if q.K < 1 || q.K > 1000 || !(q.MinScore >= -1 && q.MinScore <= 1) {
		return nil, ports.ErrInvalid
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.kept.ranking(q)
	for i := range found {
		found[i].Score = max(-1, min(1, found[i].Score))
	}
	found = slices.DeleteFunc(found, func(m ports.Match) bool { return m.Score < q.MinScore })
	return found[:min(q.K, len(found))], nil
}

func (s *reference) Scan(ctx context.Context, selection ports.Selection) iter.Seq2[ports.Record, error] {
	return func(yield func(ports.Record, error) bool) {
		owner, one := selection.Owners.Only()
		ids := []string{owner}
		if !one {
			ids = nil
		}
		if err := s.judge(ctx, selection.Collection, s.unit(), ids...); err != nil {
			yield(ports.Record{}, err)
			return
		}
		s.mu.Lock()
		records := s.kept.selected(selection)
		s.mu.Unlock()
		for _, r := range records {
			if err := ctx.Err(); err != nil {
				yield(ports.Record{}, err)
				return
			}
			if !yield(cloned(r), nil) {
				return
			}
		}
	}
}

func (s *reference) Count(ctx context.Context, collection string) (int, error) {
	if err := s.judge(ctx, collection, s.unit()); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.count(collection), nil
}

// judge checks what calls have in common.
func (s *reference) judge(ctx context.Context, collection string, vector []float32, ids ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(collection) < 1 || len(collection) > 64 || strings.Trim(collection, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return ports.ErrInvalid
	}
	for _, id := range ids {
		if len(id) < 1 || len(id) > 256 || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
			return ports.ErrInvalid
		}
	}
	if norm := math.Sqrt(cosine(vector, vector)); len(vector) != s.space.Dimension || !(math.Abs(norm-1) < 1e-3) {
		return ports.ErrInvalid
	}
	return nil
}

// unit is a vector that judge accepts.
func (s *reference) unit() []float32 {
	v := make([]float32, s.space.Dimension)
	v[0] = 1
	return v
}

func cloned(r ports.Record) ports.Record {
	r.Vector = slices.Clone(r.Vector)
	return r
}

// archived is a store over an archive, as a damaged one is too.
type archived interface{ data() *archive }

func (s *reference) data() *archive { return s.archive }

// harnessOf makes the harness of the reference with every instance wrapped.
func harnessOf(wrap func(*reference) ports.VectorStore) StoreHarness {
	return StoreHarness{
		Records: 1200,
		Fill: func(_ testing.TB, s ports.VectorStore, records []ports.Record) {
			data := s.(archived).data()
			data.mu.Lock()
			defer data.mu.Unlock()
			for _, r := range records {
				data.kept.records = append(data.kept.records, cloned(r))
			}
		},
		Open: func(_ testing.TB, space ports.Space) ports.VectorStore {
			return wrap(&reference{&archive{space: space}})
		},
		Reopen: func(_ testing.TB, s ports.VectorStore, space ports.Space) (ports.VectorStore, error) {
			data := s.(archived).data()
			if data.space.ID() != space.ID() {
				return nil, space.Mismatch("it", data.space.String(), "make another")
			}
			return wrap(&reference{data}), nil
		},
		Second: func(_ testing.TB, s ports.VectorStore) ports.VectorStore {
			return wrap(&reference{s.(archived).data()})
		},
	}
}

func referenceHarness() StoreHarness {
	return harnessOf(func(s *reference) ports.VectorStore { return s })
}

// copyOf is a second instance that has the data of the moment to itself.
func copyOf(_ testing.TB, s ports.VectorStore) ports.VectorStore {
	data := s.(archived).data()
	data.mu.Lock()
	defer data.mu.Unlock()
	return &reference{&archive{space: data.space, kept: oracle{slices.Clone(data.kept.records)}}}
}
