package contract

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"

	"imago/ports"
)

// squareDetector is the reference: every red rectangle is a face, found in the
// picture itself by following its edges.
type squareDetector struct{ closed atomic.Bool }

func (d *squareDetector) Detect(ctx context.Context, img *ports.Image, _ int) ([]ports.Face, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if d.closed.Load() {
		return nil, ports.ErrUnavailable
	}
	if img == nil || min(img.Width, img.Height) < 1 || img.Width > 1<<20 || img.Stride < 3*img.Width ||
		len(img.Pix) < (img.Height-1)*img.Stride+3*img.Width {
		return nil, ports.Refuse(ports.ErrInvalid, "there are no pixels")
	}
	return findSquares(img), nil
}

// findSquares returns the rectangles, the strongest red first.
func findSquares(img *ports.Image) []ports.Face {
	red := func(x, y int) byte {
		if x < 0 || y < 0 || x >= img.Width || y >= img.Height {
			return 0
		}
		return img.Pix[y*img.Stride+3*x]
	}
	var faces []ports.Face
	for y := range img.Height {
		for x := range img.Width {
			if red(x, y) == 0 || red(x-1, y) != 0 || red(x, y-1) != 0 {
				continue // not a top left corner
			}
			right, bottom := x, y
			for red(right, y) != 0 {
				right++
			}
			for red(x, bottom) != 0 {
				bottom++
			}
			faces = append(faces, squareFace(x, y, right, bottom, red(x, y)))
		}
	}
	slices.SortFunc(faces, func(a, b ports.Face) int { return int(1000 * (b.Score - a.Score)) })
	return faces
}

// squareFace is the face of the pixels from (x, y) up to but without (right,
// bottom).
func squareFace(x, y, right, bottom int, red byte) ports.Face {
	box := ports.Box{X0: float64(x) - 0.5, Y0: float64(y) - 0.5, X1: float64(right) - 0.5, Y1: float64(bottom) - 0.5}
	at := func(u, v float64) ports.Point {
		return ports.Point{X: box.X0 + u*box.Width(), Y: box.Y0 + v*box.Height()}
	}
	return ports.Face{Box: box, Score: float64(red) / 255, Landmarks: ports.Landmarks{
		at(0.3, 0.3), at(0.7, 0.3), at(0.5, 0.5), at(0.35, 0.75), at(0.65, 0.75),
	}}
}

// alteredDetector replaces the answers of the reference.
type alteredDetector struct {
	squareDetector
	detect func(reference *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error)
}

func (d *alteredDetector) Detect(ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
	return d.detect(&d.squareDetector, ctx, img, longSide)
}

// afterwards returns a detector that changes what the reference found.
func afterwards(change func(img *ports.Image, longSide int, faces []ports.Face) []ports.Face) func() ports.Detector {
	return func() ports.Detector {
		return &alteredDetector{detect: func(reference *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			faces, err := reference.Detect(ctx, img, longSide)
			if err != nil {
				return nil, err
			}
			return change(img, longSide, faces), nil
		}}
	}
}

// brokenDetector is a detector that one case of the suite is there to catch.
type brokenDetector struct {
	name, caught string
	open         func() ports.Detector
}

var brokenDetectors = []brokenDetector{
	{"blind to one", "FindsTheFaces", afterwards(func(_ *ports.Image, _ int, f []ports.Face) []ports.Face { return f[:max(0, len(f)-1)] })},
	{"sees ghosts", "FindsTheFaces", afterwards(func(_ *ports.Image, _ int, f []ports.Face) []ports.Face {
		return append(f, squareFace(500, 500, 520, 520, 1))
	})},
	{"answers in pixels of the network", "FindsTheFaces", afterwards(func(_ *ports.Image, longSide int, f []ports.Face) []ports.Face {
		if longSide > 0 {
			scaleNoses(f, 0.5)
		}
		return f
	})},
	{"a phantom in the dark", "NoFaces", afterwards(func(_ *ports.Image, _ int, f []ports.Face) []ports.Face {
		if len(f) == 0 {
			f = append(f, squareFace(0, 0, 9, 9, 200))
		}
		return f
	})},
	{"worst first", "Scores", afterwards(func(_ *ports.Image, _ int, f []ports.Face) []ports.Face { slices.Reverse(f); return f })},
	{"score in percent", "Scores", afterwards(func(_ *ports.Image, _ int, f []ports.Face) []ports.Face {
		for i := range f {
			f[i].Score *= 100
		}
		return f
	})},
	{"every face twice", "NoDuplicates", afterwards(func(_ *ports.Image, _ int, f []ports.Face) []ports.Face { return append(f, f...) })},
	{"the person's left", "LandmarksAsSeen", afterwards(func(_ *ports.Image, _ int, f []ports.Face) []ports.Face {
		for i := range f {
			l := &f[i].Landmarks
			l[ports.LeftEye], l[ports.RightEye] = l[ports.RightEye], l[ports.LeftEye]
		}
		return f
	})},
	{"takes rows to be packed", "AnyStride", func() ports.Detector {
		return &alteredDetector{detect: func(reference *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			if img == nil {
				return nil, ports.ErrInvalid
			}
			packed := *img
			packed.Stride = 3 * packed.Width
			return reference.Detect(ctx, &packed, longSide)
		}}
	}},
	{"pixels of the original", "PixelsOfTheCopy", afterwards(func(img *ports.Image, _ int, f []ports.Face) []ports.Face {
		scaleNoses(f, img.Reduction())
		return f
	})},
	{"needs a thousand pixels", "OddSizes", func() ports.Detector {
		return &alteredDetector{detect: func(reference *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			if img != nil && len(img.Pix) < 3000 {
				return nil, ports.ErrInvalid
			}
			return reference.Detect(ctx, img, longSide)
		}}
	}},
	{"finds nothing in nothing", "ImageWithoutPixels", func() ports.Detector {
		return &alteredDetector{detect: func(reference *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			faces, _ := reference.Detect(ctx, img, longSide)
			return faces, ctx.Err()
		}}
	}},
	{"draws what it finds", "ImageUntouched", afterwards(func(img *ports.Image, _ int, f []ports.Face) []ports.Face { img.Pix[0] = 99; return f })},
	{"hands out its own memory", "ResultOwned", func() ports.Detector {
		kept := map[*ports.Image][]ports.Face{}
		return &alteredDetector{detect: func(reference *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			if faces, ok := kept[img]; ok {
				return faces, nil
			}
			faces, err := reference.Detect(ctx, img, longSide)
			kept[img] = faces
			return faces, err
		}}
	}},
	{"goes on regardless", "Cancelled", func() ports.Detector {
		return &alteredDetector{detect: func(reference *squareDetector, _ context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			return reference.Detect(context.Background(), img, longSide)
		}}
	}},
	{"blames the backend", "Cancelled", func() ports.Detector {
		return &alteredDetector{detect: func(reference *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			if ctx.Err() != nil {
				return nil, ports.ErrUnavailable
			}
			return reference.Detect(ctx, img, longSide)
		}}
	}},
	{"one picture for everybody", "Concurrent", func() ports.Detector {
		var shared atomic.Pointer[ports.Image]
		return &alteredDetector{detect: func(reference *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			shared.Store(img)
			for range 50 {
				runtime.Gosched()
			}
			return reference.Detect(ctx, shared.Load(), longSide)
		}}
	}},
	{"immortal", "Closed", func() ports.Detector {
		return &alteredDetector{detect: func(_ *squareDetector, ctx context.Context, img *ports.Image, longSide int) ([]ports.Face, error) {
			return new(squareDetector).Detect(ctx, img, longSide)
		}}
	}},
}

// scaleNoses moves noses away from the corner.
func scaleNoses(faces []ports.Face, factor float64) {
	for i := range faces {
		nose := &faces[i].Landmarks[ports.Nose]
		nose.X, nose.Y = nose.X*factor, nose.Y*factor
	}
}
