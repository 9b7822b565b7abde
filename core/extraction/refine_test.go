package extraction_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/core/extraction"
	"imago/ports"
)

// painted is a face whose landmarks are soft discs: eyes red, nose green, mouth
// corners blue.
func painted(size int, l ports.Landmarks, radius float64) *ports.Image {
	img := ports.NewImage(size, size)
	channel := [ports.LandmarkCount]int{0, 0, 1, 2, 2}
	for i, p := range l {
		for y := range size {
			for x := range size {
				d := math.Hypot(float64(x)-p.X, float64(y)-p.Y)
				v := byte(255 * max(0, min(1, 2-2*d/radius)))
				if at := y*img.Stride + 3*x + channel[i]; v > img.Pix[at] {
					img.Pix[at] = v
				}
			}
		}
	}
	return img
}

// seen measures the discs of a picture: left and right as seen in the image,
// as a detector must.
func seen(img *ports.Image) (l ports.Landmarks) {
	nose := centroid(img, 1, math.Inf(-1), math.Inf(1))
	l[ports.Nose] = nose
	l[ports.LeftEye], l[ports.RightEye] = centroid(img, 0, math.Inf(-1), nose.X), centroid(img, 0, nose.X, math.Inf(1))
	l[ports.LeftMouth], l[ports.RightMouth] = centroid(img, 2, math.Inf(-1), nose.X), centroid(img, 2, nose.X, math.Inf(1))
	return l
}

func centroid(img *ports.Image, channel int, from, to float64) (p ports.Point) {
	var mass float64
	for y := range img.Height {
		for x := range img.Width {
			if m := float64(img.Pix[y*img.Stride+3*x+channel]); float64(x) >= from && float64(x) < to {
				mass += m
				p.X += m * float64(x)
				p.Y += m * float64(y)
			}
		}
	}
	return ports.Point{X: p.X / mass, Y: p.Y / mass}
}

// whole answers one picture at full size.
type whole struct{ img *ports.Image }

func (w whole) Decode(context.Context, []byte, int) (*ports.Image, error) { return w.img, nil }
func (whole) Release(*ports.Image)                                        {}

// recorder keeps the last chip.
type recorder struct {
	mu   sync.Mutex
	chip ports.Chip
}

func (r *recorder) Embed(_ context.Context, chips []*ports.Chip) ([][]float32, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chip = *chips[0]
	return make([][]float32, len(chips)), nil
}

func (r *recorder) Space() ports.Space { return ports.Space{} }

// invertedSize is the side of the crop that is looked at upside down.
const invertedSize = 96

// The first detection is turned by ten degrees, too large and off its place;
// after refinement the chip is that of the true landmarks.
func TestRefinementFindsTheTrueLandmarks(t *testing.T) {
	truth := faceOf(150, 130, 200)
	img := painted(500, truth.Landmarks, 14)
	rough := truth
	for i, p := range truth.Landmarks {
		x, y := 1.15*(p.X-250), 1.15*(p.Y-230)
		sin, cos := math.Sincos(10 * math.Pi / 180)
		rough.Landmarks[i] = ports.Point{X: 255 + cos*x - sin*y, Y: 222 + sin*x + cos*y}
	}
	chipOf := func(refine bool, first ports.Face) (ports.Chip, int) {
		looks := 0
		detect := func(_ context.Context, crop *ports.Image, _ int) ([]ports.Face, error) {
			if crop == img {
				return []ports.Face{first}, nil
			}
			if crop.Width == invertedSize {
				return nil, nil
			}
			looks++
			middle := float64(crop.Width) / 2
			return []ports.Face{
				{Score: 0.99}, // somebody at the edge
				{Score: 0.8, Box: ports.Box{X0: middle - 40, Y0: middle - 40, X1: middle + 40, Y1: middle + 40}, Landmarks: seen(crop)},
			}, nil
		}
		r := new(recorder)
		o := one
		o.Refine = refine
		_, err := extraction.New(whole{img}, detectFunc(detect), r, o).Probe(t.Context(), nil)
		require.NoError(t, err)
		return r.chip, looks
	}
	want, looks := chipOf(false, truth)
	require.Zero(t, looks)
	unrefined, _ := chipOf(false, rough)
	require.Greater(t, difference(want, unrefined), 2.0, "the rough landmarks give another chip")
	got, looks := chipOf(true, rough)
	require.Equal(t, 5, looks)
	require.Less(t, difference(want, got), 0.5)
}

// difference is the mean absolute difference of two chips, in grey levels.
func difference(a, b ports.Chip) (sum float64) {
	for i := range a {
		sum += math.Abs(float64(a[i]) - float64(b[i]))
	}
	return sum / float64(len(a))
}

func TestRefinementKeepsTheLandmarksWhereNoLookFindsTheFace(t *testing.T) {
	truth := faceOf(150, 130, 200)
	img := painted(500, truth.Landmarks, 14)
	detect := func(_ context.Context, crop *ports.Image, _ int) ([]ports.Face, error) {
		if crop == img {
			return []ports.Face{truth}, nil
		}
		return nil, nil
	}
	chips := [2]*recorder{new(recorder), new(recorder)}
	for i, refine := range []bool{false, true} {
		o := one
		o.Refine = refine
		_, err := extraction.New(whole{img}, detectFunc(detect), chips[i], o).Probe(t.Context(), nil)
		require.NoError(t, err)
	}
	require.Equal(t, chips[0].chip, chips[1].chip)
}

// crowd is a detector that sees a painted face in every crop; from the second look on,
// each goes through meet first.
func crowd(img *ports.Image, face ports.Face, meet func()) (detect detectFunc, looks *atomic.Int32) {
	looks = new(atomic.Int32)
	return func(_ context.Context, crop *ports.Image, _ int) ([]ports.Face, error) {
		if crop == img {
			return []ports.Face{face}, nil
		}
		if crop.Width == invertedSize {
			return nil, nil
		}
		if looks.Add(1) > 1 {
			meet()
		}
		middle := float64(crop.Width) / 2
		return []ports.Face{{Score: 0.8, Box: ports.Box{X0: middle - 40, Y0: middle - 40, X1: middle + 40, Y1: middle + 40}, Landmarks: seen(crop)}}, nil
	}, looks
}

// An idle worker takes half of the looks: each of them meets one of the other half.
// The landmarks are the same, bit by bit, as when one worker does it all.
func TestAnIdleWorkerHelps(t *testing.T) {
	truth := faceOf(150, 130, 200)
	img := painted(500, truth.Landmarks, 14)
	pair := make(chan struct{})
	meet := func() {
		select {
		case pair <- struct{}{}:
		case <-pair:
		case <-time.After(testWait):
			t.Error("nobody looks at the same time")
		}
	}
	var chips [2]ports.Chip
	for i, meet := range []func(){func() {}, meet} {
		detect, looks := crowd(img, truth, meet)
		r := new(recorder)
		x := extraction.New(whole{img}, detect, r, extraction.Options{Workers: 1 + i, DetectSizes: []int{640}, Refine: true})
		_, err := x.Probe(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, 5, looks.Load())
		working, _ := x.Load()
		require.Zero(t, working)
		chips[i] = r.chip
	}
	require.Equal(t, chips[0], chips[1])
}

// Whichever half of the looks panics, it is the caller's panic, after both have ended.
func TestAPanicOfAHelperIsTheCallers(t *testing.T) {
	truth := faceOf(150, 130, 200)
	img := painted(500, truth.Landmarks, 14)
	for range 20 {
		pair, other := make(chan struct{}), new(atomic.Bool)
		detect, _ := crowd(img, truth, func() {
			if other.Load() {
				return
			}
			select {
			case pair <- struct{}{}:
				other.Store(true)
			case <-pair:
				panic("broken")
			case <-time.After(testWait):
			}
		})
		x := extraction.New(whole{img}, detect, new(recorder), extraction.Options{Workers: 2, DetectSizes: []int{640}, Refine: true})
		require.PanicsWithValue(t, "broken", func() { _, _ = x.Probe(t.Context(), nil) })
		require.True(t, other.Load())
		working, _ := x.Load()
		require.Zero(t, working)
	}
}
