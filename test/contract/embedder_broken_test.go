package contract

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"imago/ports"
)

// meanEmbedder is the reference: the means of a chip's colours over a grid,
// against middle grey, made a unit vector.
type meanEmbedder struct{ closed atomic.Bool }

const meanGrid = 4

func (e *meanEmbedder) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.closed.Load() {
		return nil, ports.ErrUnavailable
	}
	vectors := make([][]float32, len(chips))
	for i, chip := range chips {
		vectors[i] = unit(chipMeans(chip))
	}
	return vectors, nil
}

func (e *meanEmbedder) Space() ports.Space {
	return ports.Space{Model: "means", Digest: strings.Repeat("0f", 32), Preprocessing: "RGB", Dimension: 3 * meanGrid * meanGrid}
}

// chipMeans returns the means of each channel over each part of a chip.
func chipMeans(chip *ports.Chip) []float32 {
	const side = ports.ChipSize / meanGrid
	means := make([]float32, 3*meanGrid*meanGrid)
	for i, v := range chip {
		x, y, c := i/3%ports.ChipSize, i/3/ports.ChipSize, i%3
		means[(y/side*meanGrid+x/side)*3+c] += (float32(v) - 128) / (side * side)
	}
	return means
}

// unit scales a vector to length 1.
func unit(v []float32) []float32 {
	norm := math.Sqrt(cosine(v, v))
	for i := range v {
		v[i] = float32(float64(v[i]) / norm)
	}
	return v
}

// alteredEmbedder replaces the answers of the reference; nil leaves one alone.
type alteredEmbedder struct {
	meanEmbedder
	embed func(reference *meanEmbedder, ctx context.Context, chips []*ports.Chip) ([][]float32, error)
	space func(s ports.Space) ports.Space
}

func (e *alteredEmbedder) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	if e.embed == nil {
		return e.meanEmbedder.Embed(ctx, chips)
	}
	return e.embed(&e.meanEmbedder, ctx, chips)
}

func (e *alteredEmbedder) Space() ports.Space {
	if e.space == nil {
		return e.meanEmbedder.Space()
	}
	return e.space(e.meanEmbedder.Space())
}

// spoiltVectors returns an embedder that changes the vectors of the reference.
func spoiltVectors(change func(chips []*ports.Chip, vectors [][]float32)) func() ports.Embedder {
	return func() ports.Embedder {
		return &alteredEmbedder{embed: func(reference *meanEmbedder, ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
			vectors, err := reference.Embed(ctx, chips)
			if err == nil {
				change(chips, vectors)
			}
			return vectors, err
		}}
	}
}

// brokenEmbedder is an embedder that one case of the suite is there to catch.
type brokenEmbedder struct {
	name, caught string
	open         func() ports.Embedder
}

var brokenEmbedders = []brokenEmbedder{
	{"nothing is an error", "EmptyBatch", func() ports.Embedder {
		return &alteredEmbedder{embed: func(reference *meanEmbedder, ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
			if len(chips) == 0 {
				return nil, ports.ErrInvalid
			}
			return reference.Embed(ctx, chips)
		}}
	}},
	{"any length", "UnitVectors", spoiltVectors(func(_ []*ports.Chip, vectors [][]float32) {
		for _, v := range vectors {
			for i := range v {
				v[i] *= 1.001
			}
		}
	})},
	{"not a number", "UnitVectors", spoiltVectors(func(_ []*ports.Chip, vectors [][]float32) {
		if len(vectors) > 8 {
			vectors[7][0] = float32(math.NaN())
		}
	})},
	{"a number too many", "UnitVectors", spoiltVectors(func(_ []*ports.Chip, vectors [][]float32) {
		for i := range vectors {
			vectors[i] = append(vectors[i], 0)
		}
	})},
	{"backwards", "BatchOrder", spoiltVectors(func(_ []*ports.Chip, vectors [][]float32) { slices.Reverse(vectors) })},
	{"minds its place", "SameChipInABatch", spoiltVectors(func(_ []*ports.Chip, vectors [][]float32) {
		for i, v := range vectors {
			v[0] += 0.05 * float32(i)
			unit(v)
		}
	})},
	{"the same for all", "ChipsDiffer", spoiltVectors(func(_ []*ports.Chip, vectors [][]float32) {
		for _, v := range vectors {
			clear(v)
			v[0] = 1
		}
	})},
	{"sees red only", "ChannelsDiffer", spoiltVectors(func(chips []*ports.Chip, vectors [][]float32) {
		for i, v := range vectors {
			copy(v, chipMeans(chips[i]))
			for j := range v {
				if j%3 != 0 {
					v[j] = 0
				}
			}
			unit(v)
		}
	})},
	{"normalises in place", "ChipsUntouched", spoiltVectors(func(chips []*ports.Chip, _ [][]float32) {
		for _, chip := range chips {
			chip[0]++
		}
	})},
	{"sorts the batch", "ChipsUntouched", spoiltVectors(func(chips []*ports.Chip, _ [][]float32) { slices.Reverse(chips) })},
	{"one array for all", "ResultOwned", spoiltVectors(func(_ []*ports.Chip, vectors [][]float32) {
		all := slices.Concat(vectors...)
		for i, v := range vectors {
			vectors[i] = all[i*len(v) : (i+1)*len(v)]
		}
	})},
	{"hands out its own memory", "ResultOwned", func() ports.Embedder {
		kept := map[ports.Chip][]float32{}
		return &alteredEmbedder{embed: func(reference *meanEmbedder, ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
			vectors, err := reference.Embed(ctx, chips)
			for i := range vectors {
				if known, ok := kept[*chips[i]]; ok {
					vectors[i] = known
				}
				kept[*chips[i]] = vectors[i]
			}
			return vectors, err
		}}
	}},
	{"wanders", "Space", func() ports.Embedder {
		calls := 0
		return &alteredEmbedder{space: func(s ports.Space) ports.Space {
			calls++
			s.Preprocessing = fmt.Sprint("RGB ", calls)
			return s
		}}
	}},
	{"shouts its digest", "Space", func() ports.Embedder {
		return &alteredEmbedder{space: func(s ports.Space) ports.Space { s.Digest = strings.ToUpper(s.Digest); return s }}
	}},
	{"breaks the line", "Space", func() ports.Embedder {
		return &alteredEmbedder{space: func(s ports.Space) ports.Space { s.Preprocessing += "\n"; return s }}
	}},
	{"goes on regardless", "Cancelled", func() ports.Embedder {
		return &alteredEmbedder{embed: func(reference *meanEmbedder, _ context.Context, chips []*ports.Chip) ([][]float32, error) {
			return reference.Embed(context.Background(), chips)
		}}
	}},
	{"one batch for everybody", "Concurrent", func() ports.Embedder {
		var shared atomic.Pointer[ports.Chip]
		return &alteredEmbedder{embed: func(reference *meanEmbedder, ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
			vectors, err := reference.Embed(ctx, chips)
			for i, chip := range chips {
				shared.Store(chip)
				for range 50 {
					runtime.Gosched()
				}
				vectors[i] = unit(chipMeans(shared.Load()))
			}
			return vectors, err
		}}
	}},
	{"immortal", "Closed", func() ports.Embedder {
		return &alteredEmbedder{embed: func(_ *meanEmbedder, ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
			return new(meanEmbedder).Embed(ctx, chips)
		}}
	}},
}
