package contract

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"imago/ports"
	"imago/test/fixture"
)

// DetectorHarness tells the suite of Detector how to get at the detector under
// test and what it should find. Open and at least one picture with a face are
// required.
type DetectorHarness struct {
	// Open returns a detector that is ready for use. It registers the clean-up
	// with tb.Cleanup and fails tb when it cannot open.
	Open func(tb testing.TB) ports.Detector

	// Close shuts a detector down that Open returned, before the clean-up does.
	Close func(tb testing.TB, d ports.Detector)

	// Pictures are what the cases look at.
	Pictures []DetectorPicture
}

// DetectorPicture is a picture and what is in it.
type DetectorPicture struct {
	Name  string
	Image *ports.Image
	// Noses are where the faces are, one entry each, in pixels of Image.
	Noses []ports.Point
	// LongSides are the values of longSide at which all of them are found; 0
	// is the picture as it is.
	LongSides []int
	// Tolerance is how far off a nose may be, in pixels of Image.
	Tolerance float64
}

// Detector runs the suite that every ports.Detector passes.
func Detector(t *testing.T, h DetectorHarness) {
	require.NotEmpty(t, h.Pictures)
	for _, c := range detectorCases {
		t.Run(c.name, func(t *testing.T) { c.test(t, h) })
	}
}

// detectorCase is one promise and the test of it; the test gets the harness, because each
// opens its own.
type detectorCase struct {
	name string
	test func(t *testing.T, h DetectorHarness)
}

var detectorCases = []detectorCase{
	{"FindsTheFaces", findsTheFaces},
	{"NoFaces", noFaces},
	{"Scores", detectorScores},
	{"NoDuplicates", noDuplicates},
	{"LandmarksAsSeen", landmarksAsSeen},
	{"AnyStride", anyStride},
	{"PixelsOfTheCopy", pixelsOfTheCopy},
	{"OddSizes", oddSizes},
	{"ImageWithoutPixels", imageWithoutPixels},
	{"ImageUntouched", imageUntouched},
	{"ResultOwned", detectionOwned},
	{"Cancelled", detectCancelled},
	{"Concurrent", detectConcurrently},
	{"Closed", detectClosed},
}

// eachPicture opens a detector and runs test for every picture at every size.
func eachPicture(t *testing.T, h DetectorHarness, test func(t *testing.T, p DetectorPicture, faces []ports.Face)) {
	d := h.Open(t)
	for _, p := range h.Pictures {
		for _, longSide := range p.LongSides {
			t.Run(fmt.Sprintf("%s/%d", p.Name, longSide), func(t *testing.T) {
				faces, err := d.Detect(t.Context(), p.Image, longSide)
				require.NoError(t, err)
				test(t, p, faces)
			})
		}
	}
}

func findsTheFaces(t *testing.T, h DetectorHarness) {
	eachPicture(t, h, func(t *testing.T, p DetectorPicture, faces []ports.Face) {
		found := make([]ports.Point, len(faces))
		for i, f := range faces {
			found[i] = f.Landmarks[ports.Nose]
		}
		require.Equal(t, len(p.Noses), len(found), "noses at %v, found at %v", p.Noses, found)
		for _, nose := range p.Noses {
			i := slices.IndexFunc(found, func(f ports.Point) bool { return math.Hypot(f.X-nose.X, f.Y-nose.Y) <= p.Tolerance })
			require.GreaterOrEqual(t, i, 0, "no nose at %v, only at %v", nose, found)
			found = slices.Delete(found, i, i+1)
		}
	})
}

func noFaces(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	for _, longSide := range []int{0, 64, 640} {
		faces, err := d.Detect(t.Context(), ports.NewImage(300, 200), longSide)
		require.NoError(t, err)
		require.Empty(t, faces)
	}
}

func detectorScores(t *testing.T, h DetectorHarness) {
	eachPicture(t, h, func(t *testing.T, p DetectorPicture, faces []ports.Face) {
		last := 1.0
		for _, f := range faces {
			require.GreaterOrEqual(t, f.Score, 0.0)
			require.LessOrEqual(t, f.Score, last, "best first, none above 1")
			last = f.Score
		}
	})
}

func noDuplicates(t *testing.T, h DetectorHarness) {
	eachPicture(t, h, func(t *testing.T, p DetectorPicture, faces []ports.Face) {
		for i, a := range faces {
			require.Positive(t, a.Box.Area())
			for _, b := range faces[:i] {
				common := ports.Box{
					X0: max(a.Box.X0, b.Box.X0), Y0: max(a.Box.Y0, b.Box.Y0),
					X1: min(a.Box.X1, b.Box.X1), Y1: min(a.Box.Y1, b.Box.Y1),
				}
				require.Less(t, common.Area(), 0.8*min(a.Box.Area(), b.Box.Area()), "%v and %v are one face", a, b)
			}
		}
	})
}

// landmarksAsSeen expects upright pictures, which is what a Detector is given.
func landmarksAsSeen(t *testing.T, h DetectorHarness) {
	eachPicture(t, h, func(t *testing.T, p DetectorPicture, faces []ports.Face) {
		for _, f := range faces {
			l := f.Landmarks
			require.Less(t, l[ports.LeftEye].X, l[ports.RightEye].X)
			require.Less(t, l[ports.LeftMouth].X, l[ports.RightMouth].X)
			require.Less(t, l[ports.LeftEye].Y, l[ports.LeftMouth].Y)
			require.Less(t, l[ports.RightEye].Y, l[ports.RightMouth].Y)
			require.Greater(t, l[ports.Nose].X, f.Box.X0)
			require.Less(t, l[ports.Nose].X, f.Box.X1)
			require.Greater(t, l[ports.Nose].Y, f.Box.Y0)
			require.Less(t, l[ports.Nose].Y, f.Box.Y1)
		}
	})
}

// anyStride hides noise between the rows; it must not be taken for pixels.
func anyStride(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	for _, p := range h.Pictures {
		want, err := d.Detect(t.Context(), p.Image, 0)
		require.NoError(t, err)
		wide := *p.Image
		wide.Stride = 3*wide.Width + 101
		wide.Pix = make([]byte, wide.Stride*(wide.Height-1)+3*wide.Width)
		rng := seeded(3)
		for i := range wide.Pix {
			wide.Pix[i] = byte(rng.IntN(256))
		}
		for y := range wide.Height {
			copy(wide.Pix[y*wide.Stride:], p.Image.Pix[y*p.Image.Stride:][:3*wide.Width])
		}
		got, err := d.Detect(t.Context(), &wide, 0)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// pixelsOfTheCopy tells a detector of a larger original: that must not move the
// coordinates.
func pixelsOfTheCopy(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	for _, p := range h.Pictures {
		want, err := d.Detect(t.Context(), p.Image, 0)
		require.NoError(t, err)
		reduced := *p.Image
		reduced.FullWidth, reduced.FullHeight = 4*reduced.Width, 4*reduced.Height
		got, err := d.Detect(t.Context(), &reduced, 0)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func oddSizes(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	for _, size := range [][3]int{{1, 1, 0}, {1, 1, 640}, {1, 3000, 320}, {3000, 1, 320}, {33, 65, 0}, {200, 100, 1}} {
		faces, err := d.Detect(t.Context(), ports.NewImage(size[0], size[1]), size[2])
		require.NoError(t, err, "%v", size)
		require.Empty(t, faces)
	}
}

func imageWithoutPixels(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	broken := map[string]func(img *ports.Image){
		"nothing":       func(img *ports.Image) { *img = ports.Image{} },
		"no pixels":     func(img *ports.Image) { img.Pix = nil },
		"last row":      func(img *ports.Image) { img.Pix = img.Pix[:len(img.Pix)-1] },
		"no width":      func(img *ports.Image) { img.Width = 0 },
		"no height":     func(img *ports.Image) { img.Height = 0 },
		"below zero":    func(img *ports.Image) { img.Width, img.Height = -4, -4 },
		"narrow stride": func(img *ports.Image) { img.Stride = 3*img.Width - 1 },
		"no stride":     func(img *ports.Image) { img.Stride = 0 },
		"huge":          func(img *ports.Image) { img.Width, img.Height = math.MaxInt/2, math.MaxInt/2 },
	}
	for name, damage := range broken {
		img := ports.NewImage(40, 30)
		damage(img)
		_, err := d.Detect(t.Context(), img, 0)
		require.ErrorIs(t, err, ports.ErrInvalid, name)
	}
	_, err := d.Detect(t.Context(), nil, 0)
	require.ErrorIs(t, err, ports.ErrInvalid, "nil")
}

func imageUntouched(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	for _, p := range h.Pictures {
		before := slices.Clone(p.Image.Pix)
		_, err := d.Detect(t.Context(), p.Image, 0)
		require.NoError(t, err)
		require.True(t, slices.Equal(before, p.Image.Pix), "the image is only read")
	}
}

func detectionOwned(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	for _, p := range h.Pictures {
		first, err := d.Detect(t.Context(), p.Image, 0)
		require.NoError(t, err)
		want := slices.Clone(first)
		clear(first[:cap(first)])
		second, err := d.Detect(t.Context(), p.Image, 0)
		require.NoError(t, err)
		require.Equal(t, want, second)
	}
}

func detectCancelled(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	_, err := d.Detect(cancelled(t), h.Pictures[0].Image, 0)
	requireEnded(t, err, context.Canceled)
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err = d.Detect(late, h.Pictures[0].Image, 0)
	requireEnded(t, err, context.DeadlineExceeded)
}

func detectConcurrently(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	want := make([][]ports.Face, len(h.Pictures))
	for i, p := range h.Pictures {
		var err error
		want[i], err = d.Detect(t.Context(), p.Image, 0)
		require.NoError(t, err)
	}
	for _, err := range fixture.Together(8, func(i int) error {
		for j := range 2 * len(want) {
			k := (i + j) % len(want)
			got, err := d.Detect(t.Context(), h.Pictures[k].Image, 0)
			if err != nil {
				return err
			}
			if !slices.Equal(got, want[k]) {
				return fmt.Errorf("%s: alone %v, among others %v", h.Pictures[k].Name, want[k], got)
			}
		}
		return nil
	}) {
		require.NoError(t, err)
	}
}

func detectClosed(t *testing.T, h DetectorHarness) {
	d := h.Open(t)
	h.Close(t, d)
	_, err := d.Detect(t.Context(), h.Pictures[0].Image, 0)
	require.ErrorIs(t, err, ports.ErrUnavailable)
}
