package extraction

import (
	"cmp"
	"context"
	"math"
	"slices"

	"imago/ports"
)

// A face that is small in a large picture has too few pixels at the sizes at which faces
// are looked for first. Where those show no face for sure the picture is decoded finer
// and looked at in overlapping tiles, first coarse, then fine: the largest face is found
// first.

const (
	// tinyFace is how wide a face must be, in pixels of the detector's input, to be
	// found. Of 38 faces, 38 were found at 16 pixels, 37 or 38 at 13 and 25 or 35 at 10
	// (YuNet-s and YuNet-n).
	tinyFace = 16
	// finestArea bounds the pixels of that input, and with them the time. A picture of
	// 16 million pixels is looked at in so many when tinyFace stands for 40 of its own, one
	// of 64 million when it stands for 80.
	finestArea = 2_560_000
	// levelStep is the ratio of one size to the next.
	levelStep = 4
	// tileSide is the longest side of a tile and tileOverlap how much two have in
	// common, in pixels of the detector's input.
	tileSide    = 1024
	tileOverlap = 96
	// worthwhile is how much larger than the largest size before one has to be.
	worthwhile = 1.25
	// sameFace is the intersection over union from which two boxes are one face.
	sameFace = 0.3
)

// lookCloser looks for faces in more pixels of the picture than before. What it finds
// replaces what was found if it is seen better.
func (x *Extractor) lookCloser(ctx context.Context, picture []byte, f *found) error {
	levels := x.levels(f.img.FullWidth, f.img.FullHeight)
	if len(levels) == 0 {
		return nil
	}
	finest := levels[len(levels)-1]
	img := f.img
	if max(img.Width, img.Height) < finest && img.Width < img.FullWidth {
		finer, err := x.decoder.Decode(ctx, picture, finest)
		if err != nil {
			return err
		}
		img = finer
		defer func() {
			if f.img != finer {
				x.decoder.Release(finer)
			}
		}()
	}
	for _, size := range levels {
		faces, err := x.detectTiles(ctx, img, size)
		if err != nil {
			return err
		}
		if len(faces) == 0 {
			continue
		}
		s, err := x.settle(ctx, f.space, img, faces[0])
		if err != nil {
			return err
		}
		if len(f.faces) == 0 || s.better(f.stance) {
			x.takeFrom(f, img, faces, s)
		}
		if f.stance.sure() {
			return nil
		}
	}
	return nil
}

// takeFrom has faces of another copy of the picture be those of the picture.
func (x *Extractor) takeFrom(f *found, img *ports.Image, faces []ports.Face, s stance) {
	if f.img != img {
		x.decoder.Release(f.img)
		f.img = img
	}
	if s.turn != 0 || s.slanted {
		faces[0].Landmarks = *s.landmarks
	}
	f.faces, f.stance = faces, s
}

// levels returns the longer sides in pixels, ascending, at which a picture of the given
// size is looked at after the usual ones.
func (x *Extractor) levels(width, height int) (sizes []int) {
	if x.smallest <= 0 {
		return nil
	}
	longer := float64(max(width, height))
	scale := min(1, tinyFace/x.smallest, math.Sqrt(finestArea/(float64(width)*float64(height))))
	before := worthwhile * float64(x.sizes[len(x.sizes)-1])
	for size := longer * scale; size > before; size /= levelStep {
		sizes = append(sizes, int(math.Ceil(size)))
	}
	slices.Reverse(sizes)
	return sizes
}

// A tile is a part of an image, which shares its pixels.
type tile struct {
	part *ports.Image
	x, y int // of its first pixel
}

// detectTiles returns the faces of an image that is looked at with size pixels on its
// longer side, the largest first.
func (x *Extractor) detectTiles(ctx context.Context, img *ports.Image, size int) ([]ports.Face, error) {
	scale := min(1, float64(size)/float64(max(img.Width, img.Height)))
	tiles := cut(img, scale)
	var halves [2][]ports.Face
	half := len(tiles) / 2
	err := x.besides(
		func() (err error) { halves[0], err = x.detectEach(ctx, tiles[:half], scale); return err },
		func() (err error) { halves[1], err = x.detectEach(ctx, tiles[half:], scale); return err })
	if err != nil {
		return nil, err
	}
	return distinct(append(halves[0], halves[1]...)), nil
}

// detectEach returns the faces of all tiles, in pixels of the image.
func (x *Extractor) detectEach(ctx context.Context, tiles []tile, scale float64) (all []ports.Face, err error) {
	for _, t := range tiles {
		longer := float64(max(t.part.Width, t.part.Height))
		faces, err := x.detector.Detect(ctx, t.part, int(math.Round(scale*longer)))
		if err != nil {
			return nil, err
		}
		for _, face := range faces {
			all = append(all, shifted(face, float64(t.x), float64(t.y)))
		}
	}
	return all, nil
}

// cut cuts an image into overlapping tiles of at most tileSide pixels a side when it is
// looked at at a scale.
func cut(img *ports.Image, scale float64) (tiles []tile) {
	for _, down := range spans(img.Height, scale) {
		for _, across := range spans(img.Width, scale) {
			tiles = append(tiles, tile{
				part: &ports.Image{
					Pix: img.Pix[down.from*img.Stride+3*across.from:], Stride: img.Stride,
					Width: across.length, Height: down.length, FullWidth: across.length, FullHeight: down.length,
				},
				x: across.from, y: down.from,
			})
		}
	}
	return tiles
}

type span struct{ from, length int }

// spans divides a side into pieces of one length.
func spans(side int, scale float64) (pieces []span) {
	longest, overlap := tileSide/scale, tileOverlap/scale
	n := 1
	if float64(side) > longest {
		n = int(math.Ceil((float64(side) - overlap) / (longest - overlap)))
	}
	length := min(side, int(math.Ceil((float64(side)+float64(n-1)*overlap)/float64(n))))
	for i := range n {
		from := 0
		if n > 1 {
			from = i * (side - length) / (n - 1)
		}
		pieces = append(pieces, span{from, length})
	}
	return pieces
}

func shifted(f ports.Face, x, y float64) ports.Face {
	f.Box = ports.Box{X0: f.Box.X0 + x, Y0: f.Box.Y0 + y, X1: f.Box.X1 + x, Y1: f.Box.Y1 + y}
	for i := range f.Landmarks {
		f.Landmarks[i].X += x
		f.Landmarks[i].Y += y
	}
	return f
}

// distinct returns each face once, as it was seen best, the largest first.
func distinct(faces []ports.Face) (once []ports.Face) {
	slices.SortStableFunc(faces, func(a, b ports.Face) int { return cmp.Compare(b.Score, a.Score) })
	for _, f := range faces {
		if !slices.ContainsFunc(once, func(o ports.Face) bool { return overlap(f.Box, o.Box) > sameFace }) {
			once = append(once, f)
		}
	}
	slices.SortStableFunc(once, largerFirst)
	return once
}

// overlap returns the intersection of two boxes over their union.
func overlap(a, b ports.Box) float64 {
	both := ports.Box{X0: max(a.X0, b.X0), Y0: max(a.Y0, b.Y0), X1: min(a.X1, b.X1), Y1: min(a.Y1, b.Y1)}.Area()
	return both / (a.Area() + b.Area() - both)
}
