package extraction_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/alignment"
	"imago/core/extraction"
	"imago/core/quality"
	"imago/ports"
)

// decoder answers pictures of a fixed original size at whole reductions.
type decoder struct {
	width, height int
	sizes         []int // the longer sides asked for
	lent          map[*ports.Image]bool
	failAt        int // the longer side that is refused
}

func (d *decoder) Decode(_ context.Context, _ []byte, longSide int) (*ports.Image, error) {
	d.sizes = append(d.sizes, longSide)
	if longSide == d.failAt {
		return nil, ports.ErrUnavailable
	}
	f := 1
	for longSide > 0 && max(d.width, d.height)/(f*2) >= longSide {
		f *= 2
	}
	img := ports.NewImage(d.width/f, d.height/f)
	img.FullWidth, img.FullHeight = d.width, d.height
	if d.lent == nil {
		d.lent = map[*ports.Image]bool{}
	}
	d.lent[img] = true
	return img, nil
}

// Release takes the pixels, so that a later look at them panics.
func (d *decoder) Release(img *ports.Image) {
	if img == nil {
		return
	}
	if !d.lent[img] {
		panic("released twice, or not lent")
	}
	delete(d.lent, img)
	img.Pix = nil
}

type detectFunc func(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error)

func (f detectFunc) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	return f(ctx, img, longSide)
}

type embedFunc func(ctx context.Context, chips []*ports.Chip) ([][]float32, error)

func (f embedFunc) Embed(ctx context.Context, chips []*ports.Chip) ([][]float32, error) {
	return f(ctx, chips)
}
func (f embedFunc) Space() ports.Space { return ports.Space{Dimension: 2} }

func unit(_ context.Context, chips []*ports.Chip) ([][]float32, error) {
	return make([][]float32, len(chips)), nil
}

// faceOf returns a face of the given width at (x, y).
func faceOf(x, y, width float64) ports.Face {
	f := ports.Face{Box: ports.Box{X0: x, Y0: y, X1: x + width, Y1: y + width}, Score: 0.9}
	for i, p := range alignment.Template {
		f.Landmarks[i] = ports.Point{X: x + p.X*width/ports.ChipSize, Y: y + p.Y*width/ports.ChipSize}
	}
	return f
}

func fixed(faces ...ports.Face) detectFunc {
	return func(context.Context, *ports.Image, int) ([]ports.Face, error) { return faces, nil }
}

const (
	testWait = 10 * time.Second
	testTick = 5 * time.Millisecond
)

var one = extraction.Options{Workers: 1, Queue: 1, DetectSizes: []int{640}}

func TestNoFace(t *testing.T) {
	x := extraction.New(&decoder{width: 100, height: 100}, fixed(), embedFunc(unit), one)
	_, err := x.Probe(t.Context(), nil)
	var refusal *ports.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, []string{extraction.ReasonNoFace}, refusal.Reasons)
	require.ErrorIs(t, err, ports.ErrInvalid)
}

func TestTheLargestFaceIsTaken(t *testing.T) {
	small, large := faceOf(0, 0, 120), faceOf(200, 200, 250)
	small.Score = 0.99
	x := extraction.New(&decoder{width: 640, height: 640}, fixed(small, large), embedFunc(unit), one)
	_, err := x.Probe(t.Context(), nil)
	require.NoError(t, err)
	_, err = x.Enrol(t.Context(), nil, quality.Gate{SecondFaceRatio: 0.2})
	require.ErrorIs(t, err, ports.ErrInvalid, "the smaller face counts as a second one")
	_, err = x.Enrol(t.Context(), nil, quality.Gate{SecondFaceRatio: 0.5, MinFaceWidth: 200})
	require.NoError(t, err, "the larger face is judged")
}

// A face with fewer pixels than the chip needs makes the picture be decoded
// again with enough; one with plenty does not.
func TestAFinerCopyIsDecodedForASmallFace(t *testing.T) {
	for _, c := range []struct {
		name  string
		width float64
		want  []int
	}{
		{"large", 200, []int{640}},
		{"small", 56, []int{640, 2000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &decoder{width: 4000, height: 3000}
			x := extraction.New(d, fixed(faceOf(100, 100, c.width)), embedFunc(unit), one)
			_, err := x.Probe(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, c.want, d.sizes)
		})
	}
	d := &decoder{width: 300, height: 300}
	x := extraction.New(d, fixed(faceOf(0, 0, 50)), embedFunc(unit), one)
	_, err := x.Probe(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []int{640}, d.sizes, "there is nothing finer than the original")
}

// onlyIn finds a face in the first tile of copies of at least a width.
func onlyIn(width int, face ports.Face) detectFunc {
	return func(_ context.Context, img *ports.Image, _ int) ([]ports.Face, error) {
		if img.Stride < 3*width {
			return nil, nil
		}
		return []ports.Face{face}, nil
	}
}

// Every decoded copy is given back once, after the last look at it, however the work
// ends.
func TestImagesAreReleased(t *testing.T) {
	small := fixed(faceOf(100, 100, 56)) // makes a finer copy be decoded
	looking := func(ctx context.Context, img *ports.Image, size int) ([]ports.Face, error) {
		_ = img.Pix[0]
		return small(ctx, img, size)
	}
	noDetector := func(context.Context, *ports.Image, int) ([]ports.Face, error) { return nil, ports.ErrUnavailable }
	noCrops := func(ctx context.Context, img *ports.Image, size int) ([]ports.Face, error) {
		if size < 640 {
			return nil, ports.ErrUnavailable
		}
		return small(ctx, img, size)
	}
	noEmbedder := func(context.Context, []*ports.Chip) ([][]float32, error) { return nil, ports.ErrUnavailable }
	for _, c := range []struct {
		name     string
		detect   detectFunc
		embed    embedFunc
		failAt   int
		copies   int
		smallest float64
	}{
		{"success", looking, unit, -1, 2, 40},
		{"no face", fixed(), unit, -1, 1, 0},
		{"no face when looked at closely", fixed(), unit, -1, 2, 40},
		{"no copy to look at closely", fixed(), unit, 1600, 2, 40},
		{"a face when looked at closely", onlyIn(1800, faceOf(100, 100, 56)), unit, -1, 3, 40},
		{"no copy", looking, unit, 640, 1, 40},
		{"no finer copy", looking, unit, 2000, 2, 40},
		{"no detector", noDetector, unit, -1, 1, 40},
		{"no detector for the crops", noCrops, unit, -1, 1, 40},
		{"no embedder", looking, noEmbedder, -1, 2, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &decoder{width: 4000, height: 3000, failAt: c.failAt}
			x := extraction.New(d, c.detect, c.embed, extraction.Options{Workers: 2, DetectSizes: []int{640}, Refine: true, SmallestFace: c.smallest})
			for _, call := range []func(){
				func() { _, _ = x.Probe(t.Context(), nil) },
				func() { _, _ = x.Detect(t.Context(), nil, quality.Gate{}) },
			} {
				d.sizes = nil
				call()
				require.Len(t, d.sizes, c.copies)
				require.Empty(t, d.lent)
			}
		})
	}
}

func TestDetectSizesGrowUntilAFaceSuffices(t *testing.T) {
	for _, c := range []struct {
		name  string
		width float64 // of the face in a picture of 1280
		want  []int
	}{{"large", 500, []int{320}}, {"small", 100, []int{320, 640}}, {"tiny", 20, []int{320, 640}}} {
		t.Run(c.name, func(t *testing.T) {
			var asked []int
			detect := func(_ context.Context, _ *ports.Image, size int) ([]ports.Face, error) {
				if size == invertedSize {
					return nil, nil
				}
				asked = append(asked, size)
				return []ports.Face{faceOf(0, 0, c.width)}, nil
			}
			x := extraction.New(&decoder{width: 1280, height: 1280}, detectFunc(detect), embedFunc(unit),
				extraction.Options{Workers: 1, DetectSizes: []int{320, 640}})
			_, err := x.Probe(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, c.want, asked)
		})
	}
}

// With one worker busy and one picture waiting, the next is refused at once;
// whoever waits gives up with its context and frees its place.
func TestOverload(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	detect := func(_ context.Context, img *ports.Image, _ int) ([]ports.Face, error) {
		if img.Width == invertedSize {
			return nil, nil
		}
		entered <- struct{}{}
		<-release
		return []ports.Face{faceOf(0, 0, 200)}, nil
	}
	x := extraction.New(&decoder{width: 640, height: 640}, detectFunc(detect), embedFunc(unit), one)
	first := make(chan error, 1)
	go func() { _, err := x.Probe(t.Context(), nil); first <- err }()
	<-entered

	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 1)
	go func() {
		err := ports.ErrOverloaded
		for errors.Is(err, ports.ErrOverloaded) { // one of the calls below may have been first
			_, err = x.Probe(ctx, nil)
		}
		waiting <- err
	}()
	overloaded := func() bool {
		probe, stop := context.WithTimeout(t.Context(), testTick)
		defer stop()
		_, err := x.Probe(probe, nil)
		return errors.Is(err, ports.ErrOverloaded)
	}
	require.Eventually(t, overloaded, testWait, testTick)

	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)
	close(release)
	require.NoError(t, <-first)

	go func() { _, err := x.Probe(t.Context(), nil); first <- err }()
	<-entered
	require.NoError(t, <-first, "the worker is free again")
}

func TestErrorsPass(t *testing.T) {
	broken := errors.New("broken")
	fail := embedFunc(func(context.Context, []*ports.Chip) ([][]float32, error) { return nil, broken })
	x := extraction.New(&decoder{width: 640, height: 640}, fixed(faceOf(0, 0, 200)), fail, one)
	for range 3 { // more often than there are workers: each failure frees its worker
		_, err := x.Probe(t.Context(), nil)
		require.ErrorIs(t, err, broken)
	}
	none := embedFunc(func(context.Context, []*ports.Chip) ([][]float32, error) { return nil, nil })
	_, err := extraction.New(&decoder{width: 640, height: 640}, fixed(faceOf(0, 0, 200)), none, one).Probe(t.Context(), nil)
	require.ErrorIs(t, err, ports.ErrUnavailable)
}
