package extraction

import (
	"cmp"
	"context"
	"math"
	"slices"

	"imago/ports"
)

// A face that is small in a large picture has too few pixels at the sizes at which faces
// are detected first. Where those show no reliable face the picture is decoded larger
// and searched in overlapping tiles, from coarse to fine, so that the largest face is
// found first.

const (
	// detectableWidth is the width in pixels of the detector's input from which faces
	// are found. Of 38 faces, 38 were found at 16 pixels, 37 or 38 at 13 and 25 or 35 at
	// 10 (YuNet-s and YuNet-n).
	detectableWidth = 16
	// maxArea bounds the pixels of that input, and with them the time. It is reached
	// when a face of detectableWidth is 40 pixels wide in a picture of 16 million pixels,
	// or 80 in one of 64 million.
	maxArea = 2_560_000
	// levelStep is the ratio of one size to the next.
	levelStep = 4
	// tileSide is the longest side of a tile and tileOverlap the overlap of two, in
	// pixels of the detector's input.
	tileSide    = 1024
	tileOverlap = 96
	// minGain is how many times larger than DetectSizes a size has to be.
	minGain = 1.25
	// duplicateIoU is the intersection over union from which two boxes are one face.
	duplicateIoU = 0.3
)

// detectFiner detects faces in more pixels of the picture, and takes them in place of
// those that were found if they are more reliable.
func (x *Extractor) detectFiner(ctx context.Context, picture []byte, f *found) error {
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
		s, err := x.measureOrientation(ctx, f.buffers, img, faces[0])
		if err != nil {
			return err
		}
		if len(f.faces) == 0 || s.moreReliable(f.orientation) {
			x.useFaces(f, img, faces, s)
		}
		if f.orientation.reliable() {
			return nil
		}
	}
	return nil
}

// useFaces replaces the faces by those of another copy of the picture.
func (x *Extractor) useFaces(f *found, img *ports.Image, faces []ports.Face, s orientation) {
	if f.img != img {
		x.decoder.Release(f.img)
		f.img = img
	}
	if s.turn != 0 || s.diagonal {
		faces[0].Landmarks = *s.landmarks
	}
	f.faces, f.orientation = faces, s
}

// levels returns the longer sides in pixels, ascending, at which a picture of the given
// size is searched after DetectSizes.
func (x *Extractor) levels(width, height int) (sizes []int) {
	if x.options.SmallestFace <= 0 {
		return nil
	}
	longer := float64(max(width, height))
	scale := min(1, detectableWidth/x.options.SmallestFace, math.Sqrt(maxArea/(float64(width)*float64(height))))
	before := minGain * float64(x.largestSize())
	for size := longer * scale; size > before; size /= levelStep {
		sizes = append(sizes, int(math.Ceil(size)))
	}
	slices.Reverse(sizes)
	return sizes
}

// A tile is a part of an image. It shares the image's pixels.
type tile struct {
	part *ports.Image
	x, y int // the position of its first pixel
}

// detectTiles returns the faces that are detected in the tiles of an image when its
// longer side is scaled to size pixels, the largest first.
func (x *Extractor) detectTiles(ctx context.Context, img *ports.Image, size int) ([]ports.Face, error) {
	scale := min(1, float64(size)/float64(max(img.Width, img.Height)))
	tiles := splitTiles(img, scale)
	var halves [2][]ports.Face
	half := len(tiles) / 2
	err := x.runParallel(
		func() (err error) { halves[0], err = x.detectEach(ctx, tiles[:half], scale); return err },
		func() (err error) { halves[1], err = x.detectEach(ctx, tiles[half:], scale); return err })
	if err != nil {
		return nil, err
	}
	return removeDuplicates(append(halves[0], halves[1]...)), nil
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
			all = append(all, translated(face, float64(t.x), float64(t.y)))
		}
	}
	return all, nil
}

// splitTiles splits an image into overlapping tiles of at most tileSide pixels a side
// after scaling.
func splitTiles(img *ports.Image, scale float64) (tiles []tile) {
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

// spans divides a side into overlapping pieces of the same length.
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

func translated(f ports.Face, x, y float64) ports.Face {
	f.Box = ports.Box{X0: f.Box.X0 + x, Y0: f.Box.Y0 + y, X1: f.Box.X1 + x, Y1: f.Box.Y1 + y}
	for i := range f.Landmarks {
		f.Landmarks[i].X += x
		f.Landmarks[i].Y += y
	}
	return f
}

// removeDuplicates returns each face once, with its highest score, the largest first.
func removeDuplicates(faces []ports.Face) (once []ports.Face) {
	slices.SortStableFunc(faces, func(a, b ports.Face) int { return cmp.Compare(b.Score, a.Score) })
	for _, f := range faces {
		if !slices.ContainsFunc(once, func(o ports.Face) bool { return iou(f.Box, o.Box) > duplicateIoU }) {
			once = append(once, f)
		}
	}
	slices.SortStableFunc(once, largerFirst)
	return once
}

// iou returns the intersection of two boxes over their union.
func iou(a, b ports.Box) float64 {
	both := ports.Box{X0: max(a.X0, b.X0), Y0: max(a.Y0, b.Y0), X1: min(a.X1, b.X1), Y1: min(a.Y1, b.Y1)}.Area()
	return both / (a.Area() + b.Area() - both)
}
