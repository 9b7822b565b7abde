package contract

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// EmbedderHarness tells the suite of Embedder how to get at the embedder under
// test. Open is required.
type EmbedderHarness struct {
	// Open returns an embedder that is ready for use. It registers the clean-up
	// with tb.Cleanup and fails tb when it cannot open.
	Open func(tb testing.TB) ports.Embedder

	// Close shuts an embedder down that Open returned, before the clean-up
	// does.
	Close func(tb testing.TB, e ports.Embedder)
}

// Embedder runs the suite that every ports.Embedder passes.
func Embedder(t *testing.T, h EmbedderHarness) {
	for _, c := range embedderCases {
		t.Run(c.name, func(t *testing.T) { c.test(t, h) })
	}
}

// embedderCase is one promise and the test of it; the test gets the harness, because each
// opens its own.
type embedderCase struct {
	name string
	test func(t *testing.T, h EmbedderHarness)
}

var embedderCases = []embedderCase{
	{"EmptyBatch", emptyBatch},
	{"UnitVectors", unitVectors},
	{"BatchOrder", batchOrder},
	{"SameChipInABatch", sameChipInABatch},
	{"ChipsDiffer", chipsDiffer},
	{"ChannelsDiffer", channelsDiffer},
	{"ChipsUntouched", chipsUntouched},
	{"ResultOwned", vectorsOwned},
	{"Space", spaceStays},
	{"Cancelled", embedCancelled},
	{"Concurrent", embedConcurrently},
	{"Closed", embedClosed},
}

// chipKinds is how many different chips testChip knows.
const chipKinds = 6

// testChip returns one of a few chips that any embedder can tell apart: ramps,
// discs and bars in different colours.
func testChip(kind int) *ports.Chip {
	chip := new(ports.Chip)
	for y := range ports.ChipSize {
		for x := range ports.ChipSize {
			p := chip[3*(y*ports.ChipSize+x):][:3]
			switch kind % chipKinds {
			case 0:
				p[0], p[1], p[2] = byte(2*x), byte(2*x), byte(2*x)
			case 1:
				p[0], p[1], p[2] = byte(2*y), byte(255-2*y), 40
			case 2:
				if (x-56)*(x-56)+(y-40)*(y-40) < 900 {
					p[0], p[1], p[2] = 230, 190, 160
				}
			case 3:
				p[0], p[1], p[2] = byte(x/14%2*200), 90, byte(y/28%2*200)
			case 4:
				p[0], p[1], p[2] = 20, byte(x+y), byte(224-x-y)
			case 5:
				p[0], p[1], p[2] = byte(30+y), byte(30+y/2), byte(30+y/3)
			}
		}
	}
	return chip
}

// testChips returns n chips, kinds in turn.
func testChips(n int) []*ports.Chip {
	chips := make([]*ports.Chip, n)
	for i := range chips {
		chips[i] = testChip(i)
	}
	return chips
}

// embed returns the vectors of a batch.
func embed(t *testing.T, e ports.Embedder, chips []*ports.Chip) [][]float32 {
	t.Helper()
	vectors, err := e.Embed(t.Context(), chips)
	require.NoError(t, err)
	require.Len(t, vectors, len(chips))
	return vectors
}

// embedAlone returns the vectors of all kinds of chips, each embedded alone.
func embedAlone(t *testing.T, e ports.Embedder) [][]float32 {
	t.Helper()
	vectors := make([][]float32, chipKinds)
	for i := range vectors {
		vectors[i] = embed(t, e, []*ports.Chip{testChip(i)})[0]
	}
	return vectors
}

func emptyBatch(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	require.Empty(t, embed(t, e, nil))
	require.Empty(t, embed(t, e, []*ports.Chip{}))
}

func unitVectors(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	for _, n := range []int{1, 2, 3, 7, 33} {
		for _, v := range embed(t, e, testChips(n)) {
			require.Len(t, v, e.Space().Dimension)
			norm := math.Sqrt(cosine(v, v))
			require.InDelta(t, 1, norm, 1e-5, "which a number that is not finite fails too")
		}
	}
}

func batchOrder(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	alone := embedAlone(t, e)
	for _, n := range []int{2, 5, 40} {
		for i, v := range embed(t, e, testChips(n)) {
			require.InDelta(t, 1, cosine(v, alone[i%chipKinds]), 1e-4, "chip %d of %d", i, n)
		}
	}
}

func sameChipInABatch(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	chip := testChip(2)
	vectors := embed(t, e, []*ports.Chip{chip, testChip(0), chip, chip})
	for _, i := range []int{2, 3} {
		require.InDelta(t, 1, cosine(vectors[0], vectors[i]), 1e-4)
	}
}

func chipsDiffer(t *testing.T, h EmbedderHarness) {
	alone := embedAlone(t, h.Open(t))
	for i, a := range alone {
		for j, b := range alone[:i] {
			require.Less(t, cosine(a, b), 0.9999, "chips %d and %d", i, j)
		}
	}
}

// channelsDiffer catches an embedder that looks at one channel only.
func channelsDiffer(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	plain := embed(t, e, []*ports.Chip{testChip(2)})[0]
	for c := range 3 {
		chip := testChip(2)
		for i := c; i < len(chip); i += 3 {
			chip[i] = 255 - chip[i]
		}
		changed := embed(t, e, []*ports.Chip{chip})[0]
		require.Less(t, cosine(plain, changed), 0.9999, "channel %d inverted", c)
	}
}

func chipsUntouched(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	chips := testChips(3)
	pointers := slices.Clone(chips)
	embed(t, e, chips)
	for i := range chips {
		require.Same(t, pointers[i], chips[i])
		require.True(t, *chips[i] == *testChip(i), "chips are only read")
	}
}

func vectorsOwned(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	alone := embedAlone(t, e)
	vectors := embed(t, e, testChips(3))
	// Neither writing to a vector nor appending to it may reach its neighbour
	// or the next answer.
	clear(vectors[0])
	_ = append(vectors[1], 7, 7, 7)
	require.InDelta(t, 1, cosine(vectors[1], alone[1]), 1e-4)
	require.InDelta(t, 1, cosine(vectors[2], alone[2]), 1e-4)
	for i, v := range embed(t, e, testChips(3)) {
		require.InDelta(t, 1, cosine(v, alone[i]), 1e-4)
	}
}

func spaceStays(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	space := e.Space()
	digest, err := hex.DecodeString(space.Digest)
	require.NoError(t, err)
	require.Len(t, digest, 32, "the digest is a SHA-256")
	require.Equal(t, strings.ToLower(space.Digest), space.Digest)
	require.NotEmpty(t, space.Model)
	require.NotEmpty(t, space.Preprocessing)
	require.Positive(t, space.Dimension)
	require.NotRegexp(t, `[[:cntrl:]]`, space.ID())
	embed(t, e, testChips(2))
	require.Equal(t, space, e.Space())
	require.Equal(t, space, h.Open(t).Space(), "another embedder of the kind has the same space")
}

func embedCancelled(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	_, err := e.Embed(cancelled(t), testChips(2))
	requireEnded(t, err, context.Canceled)
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err = e.Embed(late, testChips(2))
	requireEnded(t, err, context.DeadlineExceeded)
}

func embedConcurrently(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	alone := embedAlone(t, e)
	for _, err := range fixture.Together(8, func(i int) error {
		for n := 1; n < 5; n++ {
			chips := testChips(i + n)[i:]
			vectors, err := e.Embed(t.Context(), chips)
			if err != nil {
				return err
			}
			for j, v := range vectors {
				if c := cosine(v, alone[(i+j)%chipKinds]); math.Abs(1-c) > 1e-4 {
					return fmt.Errorf("chip %d has cosine %v to itself alone", i+j, c)
				}
			}
		}
		return nil
	}) {
		require.NoError(t, err)
	}
}

func embedClosed(t *testing.T, h EmbedderHarness) {
	e := h.Open(t)
	space := e.Space()
	h.Close(t, e)
	_, err := e.Embed(t.Context(), testChips(1))
	require.ErrorIs(t, err, ports.ErrUnavailable)
	require.Equal(t, space, e.Space())
}
