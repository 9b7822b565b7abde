package extraction

import (
	"context"
	"math"

	"imago/core/alignment"
	"imago/ports"
)

// A look is one measurement of the landmarks in an upright square crop of the
// face, perhaps mirrored.
type look struct {
	size     int // of the crop in pixels
	mirrored bool
}

// The detector places landmarks differently when the same face is turned or
// lies at another scale, by enough to cost accuracy. So the face is brought
// upright to one scale by a first look, and its landmarks are then the mean of
// four looks that differ in scale and handedness. On five pictures of three
// persons turned by 20 degrees this raised the mean cosine between the
// templates of copy and original from 0.836 to 0.994 (8 degrees: 0.951 to
// 0.997; 8 times larger or smaller: 0.977 to 0.994), and on the 45 labelled stills and
// portraits it moved strangers and same persons apart (d' 5.38 to 5.87).
var (
	firstLook  = look{size: 160}
	finalLooks = []look{{160, false}, {160, true}, {224, false}, {224, true}}
)

const (
	// cropFill is the part of a crop's side that the chip takes: the rest is
	// the margin that detectors expect around a face.
	cropFill = 0.6
	// faceCentre is the chip row that is put in the middle of a crop; the
	// centre column is the chip's. It lies below the chip's middle because the
	// chin does.
	faceCentre = 62
)

// refineLandmarks replaces the landmarks by what the looks measure. A look that
// does not find the face leaves them as they were.
func (x *Extractor) refineLandmarks(ctx context.Context, img *ports.Image, l *ports.Landmarks) error {
	upright, _, err := x.look(ctx, img, *l, firstLook)
	if err != nil {
		return err
	}
	var sum ports.Landmarks
	found := 0.0
	for _, view := range finalLooks {
		measured, ok, err := x.look(ctx, img, upright, view)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		found++
		for i, p := range measured {
			sum[i].X += p.X
			sum[i].Y += p.Y
		}
	}
	if found == 0 {
		return nil
	}
	for i, p := range sum {
		l[i] = ports.Point{X: p.X / found, Y: p.Y / found}
	}
	return nil
}

// look measures the landmarks of the face at l once. Without a face in the
// crop's middle it answers l and false.
func (x *Extractor) look(ctx context.Context, img *ports.Image, l ports.Landmarks, v look) (ports.Landmarks, bool, error) {
	t, err := alignment.Fit(l)
	if err != nil {
		return l, false, err
	}
	toCrop := cropTransform(t, v.size)
	crop := alignment.Crop(img, toCrop, v.size)
	if v.mirrored {
		mirror(crop)
	}
	faces, err := x.detector.Detect(ctx, crop, v.size)
	if err != nil {
		return l, false, err
	}
	face, ok := central(faces, v.size)
	if !ok {
		return l, false, nil
	}
	measured := face.Landmarks
	if v.mirrored {
		measured = mirrorLandmarks(measured, v.size)
	}
	back := toCrop.Inverse()
	for i, p := range measured {
		measured[i] = back.Apply(p)
	}
	return measured, true, nil
}

// cropTransform turns the transform to the chip into the one to a crop.
func cropTransform(toChip alignment.Transform, size int) alignment.Transform {
	scale := cropFill * float64(size) / ports.ChipSize
	centre := float64(size) / 2
	return toChip.Scaled(scale, centre-scale*ports.ChipSize/2, centre-scale*faceCentre)
}

// central returns the face nearest to the middle of a crop if it is there.
func central(faces []ports.Face, size int) (nearest ports.Face, ok bool) {
	closest := float64(size) / 4
	for _, f := range faces {
		dx := (f.Box.X0+f.Box.X1)/2 - float64(size)/2
		dy := (f.Box.Y0+f.Box.Y1)/2 - float64(size)/2
		if d := math.Hypot(dx, dy); d <= closest {
			nearest, closest, ok = f, d, true
		}
	}
	return nearest, ok
}

// mirror exchanges left and right in place.
func mirror(img *ports.Image) {
	for y := range img.Height {
		row := img.Pix[y*img.Stride:][:3*img.Width]
		for a, b := 0, len(row)-3; a < b; a, b = a+3, b-3 {
			row[a], row[b] = row[b], row[a]
			row[a+1], row[b+1] = row[b+1], row[a+1]
			row[a+2], row[b+2] = row[b+2], row[a+2]
		}
	}
}

// mirrorLandmarks carries landmarks found in a mirrored picture of the given
// width back: positions are reflected, and left and right change places.
func mirrorLandmarks(l ports.Landmarks, width int) ports.Landmarks {
	for i := range l {
		l[i].X = float64(width-1) - l[i].X
	}
	l[ports.LeftEye], l[ports.RightEye] = l[ports.RightEye], l[ports.LeftEye]
	l[ports.LeftMouth], l[ports.RightMouth] = l[ports.RightMouth], l[ports.LeftMouth]
	return l
}
