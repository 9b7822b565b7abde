package extraction

import (
	"context"
	"math"
	"slices"

	"imago/core/alignment"
	"imago/ports"
)

// A face on its side or upside down is detected too, often with the landmarks of an
// upright one, and the templates of such faces resemble each other: strangers match. So
// the orientation of the chosen face is measured before its landmarks are used, by the
// detector's score for the face in rotated crops. The crops are made from the box alone,
// which is about right in any orientation; the landmarks are not.

const (
	// notSidewaysScore is a score that no face on its side reaches: in 733 pictures
	// turned by 90 and 270 degrees none reached 0.88, of 740 upright ones 735 reached 0.90
	// (YuNet-n and YuNet-s). One that is upside down may reach it (19 of 1,394).
	notSidewaysScore = 0.9
	// invertedSize and invertedFill describe the crop, turned by 180 degrees, that tells
	// whether such a face is upside down. It is not when its score there is lower by
	// invertedMargin or more, as for eleven in twelve upright ones.
	invertedSize, invertedFill = 96, 0.6
	invertedMargin             = 0.06
)

// fullPasses are the crops in each direction where one is not enough. The mean of their
// scores counts.
var fullPasses = [...]struct {
	size int
	fill float64 // the part of the crop's side that the box's longer side takes
}{{96, 0.6}, {160, 0.5}}

const (
	// eighth is the angle in degrees between two directions.
	eighth     = 45
	directions = 360 / eighth
)

// A turn is a number of quarter turns clockwise, 0 to 3, that brings a picture or a
// face upright.
type turn int

// degrees returns the turn in degrees clockwise.
func (q turn) degrees() int { return int(q) * 90 }

// An orientation is how a face is rotated in a picture.
type orientation struct {
	turn turn
	// score is the detector's confidence in the upright face.
	score float64
	// margin is how much lower it is in every other direction that was measured and is
	// at least a quarter turn away.
	margin float64
	// landmarks are those detected in the upright crop; nil where none was needed.
	landmarks *ports.Landmarks
	// diagonal says that the face is rotated by about an odd multiple of 45 degrees.
	diagonal bool
}

// A face with at least reliableScore and reliableMargin is taken without searching the
// picture further. One that is found by searching further needs minScore.
const (
	reliableScore  = 0.85
	minScore       = 0.75
	reliableMargin = 0.03
)

// reliable reports whether the face is taken without searching the picture further.
func (s orientation) reliable() bool { return s.score >= reliableScore && s.margin >= reliableMargin }

// moreReliable reports whether a face is taken in place of another.
func (s orientation) moreReliable(than orientation) bool {
	clear, other := s.margin >= reliableMargin, than.margin >= reliableMargin
	return s.score >= minScore && (clear && !other || clear == other && s.score > than.score)
}

// orient measures the orientation of the largest face and, where it is not upright,
// detects the faces in the picture turned upright. A picture without a reliable face is
// searched in more pixels, then turned in all directions.
func (x *Extractor) orient(ctx context.Context, picture []byte, f *found) (err error) {
	if len(f.faces) > 0 {
		if f.orientation, err = x.measureOrientation(ctx, f.buffers, f.img, f.faces[0]); err != nil {
			return err
		}
	}
	if f.orientation.reliable() {
		return x.detectUpright(ctx, f)
	}
	if err := x.detectFiner(ctx, picture, f); err != nil || f.orientation.reliable() {
		return err
	}
	return x.detectAllTurns(ctx, f)
}

// addTurned adds the faces that are detected when the picture is turned otherwise, as long
// as they are reliable and new: a detector that is shown an upright face may overlook one
// beside it that lies on its side. At most a number of them are looked at in each turn.
func (x *Extractor) addTurned(ctx context.Context, f *found, most int) error {
	f.oriented = make([]orientation, len(f.faces))
	f.oriented[0] = f.orientation
	for q := range turn(4) {
		if q == f.orientation.turn {
			continue
		}
		faces, err := x.detect(ctx, f.buffers.turned(f.img, q))
		if err != nil {
			return err
		}
		for _, face := range faces[:min(most, len(faces))] {
			face = q.inverseFace(face, f.img.Width, f.img.Height)
			if slices.ContainsFunc(f.faces, func(o ports.Face) bool { return iou(face.Box, o.Box) > duplicateIoU }) {
				continue
			}
			s, err := x.measureAllDirections(ctx, f.buffers, f.img, face)
			if err != nil {
				return err
			}
			if !s.reliable() {
				continue
			}
			face.Landmarks = *s.landmarks
			at := len(f.faces)
			for at > 0 && largerFirst(face, f.faces[at-1]) < 0 {
				at--
			}
			f.faces, f.oriented = slices.Insert(f.faces, at, face), slices.Insert(f.oriented, at, s)
		}
	}
	return nil
}

// orientOther measures the orientation of a face other than the largest, and replaces
// landmarks that may be those of a rotated face. The picture is not searched further.
func (x *Extractor) orientOther(ctx context.Context, f *found, face *ports.Face) (s orientation, err error) {
	// The score is that of the turned picture then, in which this face may lie.
	turned := f.orientation.turn != 0 || f.orientation.diagonal
	if turned {
		s, err = x.measureAllDirections(ctx, f.buffers, f.img, *face)
	} else {
		s, err = x.measureOrientation(ctx, f.buffers, f.img, *face)
	}
	switch {
	case err != nil:
		return s, err
	case s.score == 0: // nothing is known of it but that it was detected
		s.turn, s.diagonal = f.orientation.turn, f.orientation.diagonal
	case turned || s.turn != 0 || s.diagonal:
		face.Landmarks = *s.landmarks
	}
	return s, nil
}

// detectAllTurns detects faces in the picture turned by each quarter and, while none is
// reliable, by each eighth between them. It takes those of the most reliable turn.
func (x *Extractor) detectAllTurns(ctx context.Context, f *found) error {
	if f.orientation.turn != 0 || f.orientation.diagonal {
		f.faces[0].Landmarks = *f.orientation.landmarks // unless a better turn is found
	}
	for _, q := range []turn{2, 1, 3} {
		faces, s, err := x.detectTurned(ctx, f, q)
		if err != nil {
			return err
		}
		if len(faces) > 0 && s.turn == 0 && s.moreReliable(f.orientation) {
			f.useTurned(faces, s, q)
		}
	}
	for d := 1; d < directions && !f.orientation.reliable(); d += 2 {
		faces, s, err := x.detectDiagonal(ctx, f, d)
		if err != nil {
			return err
		}
		if len(faces) > 0 && s.moreReliable(f.orientation) {
			f.faces, f.orientation = faces, s
			f.faces[0].Landmarks = *s.landmarks
		}
	}
	return nil
}

// diagonalSize is the side in pixels at which faces are detected in a picture turned by
// an odd number of eighths.
const diagonalSize = 320

// detectDiagonal returns the faces of the picture turned by an odd number of eighths, in
// pixels of the picture as it was sent, the largest first, and the orientation of that.
func (x *Extractor) detectDiagonal(ctx context.Context, f *found, direction int) (faces []ports.Face, s orientation, err error) {
	w, h := float64(f.img.Width), float64(f.img.Height)
	diameter := math.Hypot(w, h)
	size := min(diagonalSize, int(math.Ceil(diameter)))
	whole := ports.Box{X0: (w - diameter) / 2, X1: (w + diameter) / 2, Y0: (h - diameter) / 2, Y1: (h + diameter) / 2}
	t := turnedCrop(whole, float64(direction*eighth), size, 1)
	v := view{crop: f.buffers.crop(1, size), toImage: t.Inverse()}
	f.buffers.sampler.Crop(v.crop, f.img, t)
	if faces, err = x.detector.Detect(ctx, v.crop, size); err != nil || len(faces) == 0 {
		return nil, orientation{}, err
	}
	slices.SortStableFunc(faces, largerFirst)
	for i := range faces {
		faces[i] = v.faceInImage(faces[i])
	}
	s, err = x.measureAllDirections(ctx, f.buffers, f.img, faces[0])
	return faces, s, err
}

// faceInImage maps a face of the crop to the image. Its box is not rotated.
func (v *view) faceInImage(face ports.Face) ports.Face {
	b, scale := face.Box, v.toImage.Scale()
	centre := v.toImage.Apply(ports.Point{X: (b.X0 + b.X1) / 2, Y: (b.Y0 + b.Y1) / 2})
	width, height := scale*b.Width()/2, scale*b.Height()/2
	return ports.Face{
		Box:   ports.Box{X0: centre.X - width, X1: centre.X + width, Y0: centre.Y - height, Y1: centre.Y + height},
		Score: face.Score, Landmarks: v.landmarksInImage(face.Landmarks),
	}
}

// detectUpright detects the faces in the picture turned upright, if it is not.
func (x *Extractor) detectUpright(ctx context.Context, f *found) error {
	q := f.orientation.turn
	if f.orientation.diagonal {
		f.faces[0].Landmarks = *f.orientation.landmarks
	}
	if q == 0 {
		return nil
	}
	faces, s, err := x.detectTurned(ctx, f, q)
	if err != nil {
		return err
	}
	if len(faces) > 0 && s.turn == 0 {
		f.useTurned(faces, s, q)
		return nil
	}
	// There is none, or the largest is not upright: the face that was chosen first
	// stays, with the landmarks of its upright crop.
	f.faces[0].Landmarks = *f.orientation.landmarks
	return nil
}

// detectTurned returns the faces of the turned picture, in its pixels, the largest
// first, and the orientation of that.
func (x *Extractor) detectTurned(ctx context.Context, f *found, q turn) (faces []ports.Face, s orientation, err error) {
	img := f.buffers.turned(f.img, q)
	if faces, err = x.detect(ctx, img); err != nil || len(faces) == 0 {
		return nil, orientation{}, err
	}
	s, err = x.measureOrientation(ctx, f.buffers, img, faces[0])
	return faces, s, err
}

// useTurned replaces the faces by those of the turned picture, in pixels of the picture
// as it was sent.
func (f *found) useTurned(faces []ports.Face, s orientation, q turn) {
	if s.diagonal {
		faces[0].Landmarks = *s.landmarks
	}
	for i := range faces {
		faces[i] = q.inverseFace(faces[i], f.img.Width, f.img.Height)
	}
	s.turn = q
	f.faces, f.orientation = faces, s
}

// measureOrientation measures the orientation of a face in an image.
func (x *Extractor) measureOrientation(ctx context.Context, w *buffers, img *ports.Image, face ports.Face) (orientation, error) {
	if face.Score < notSidewaysScore {
		return x.measureAllDirections(ctx, w, img, face)
	}
	score, _, err := x.detectRotated(ctx, w, img, face.Box, 180, invertedSize, invertedFill)
	if err != nil {
		return orientation{}, err
	}
	if score < face.Score-invertedMargin {
		return orientation{score: face.Score, margin: face.Score - score}, nil
	}
	v := directionScores{}
	if err := x.scoreDirections(ctx, w, img, face.Box, &v, 0, directions/2); err != nil {
		return orientation{}, err
	}
	return v.orientation(), nil
}

// measureAllDirections measures the scores of a face in the four quarters and, where none
// is reliable, between them.
func (x *Extractor) measureAllDirections(ctx context.Context, w *buffers, img *ports.Image, face ports.Face) (orientation, error) {
	v := directionScores{}
	if err := x.scoreDirections(ctx, w, img, face.Box, &v, 0, 2, 4, 6); err != nil {
		return orientation{}, err
	}
	if v.scores[v.highest()] < reliableScore {
		if err := x.scoreDirections(ctx, w, img, face.Box, &v, 1, 3, 5, 7); err != nil {
			return orientation{}, err
		}
	}
	return v.orientation(), nil
}

// directionScores are the scores of a face in crops that are turned by eighths, 0 where
// no face was detected, and the landmarks.
type directionScores struct {
	scores   [directions]float64
	measured [directions]ports.Landmarks
}

// highest returns the direction with the highest score; of equals the first.
func (v *directionScores) highest() (best int) {
	for d, score := range v.scores {
		if score > v.scores[best] {
			best = d
		}
	}
	return best
}

// orientation returns the orientation by these scores.
func (v *directionScores) orientation() orientation {
	best := v.highest()
	s := orientation{
		turn: v.turn(best), diagonal: best%2 == 1,
		score: v.scores[best], margin: v.scores[best], landmarks: &v.measured[best],
	}
	for d, score := range v.scores {
		if eighthsBetween(d, best) >= directions/4 {
			s.margin = min(s.margin, s.score-score)
		}
	}
	return s
}

// turn returns the turn for a direction: for one between two quarters the one with the
// higher score.
func (v *directionScores) turn(direction int) turn {
	next := (direction + 1) % directions
	if direction%2 == 1 && v.scores[next] > v.scores[direction-1] {
		return turn(next / 2)
	}
	return turn(direction / 2)
}

// eighthsBetween returns how many eighths lie between two directions.
func eighthsBetween(a, b int) int {
	d := (a - b + directions) % directions
	return min(d, directions-d)
}

// scoreDirections measures the scores of the face of a box in some directions. The mean
// score of the fullPasses counts, and the landmarks of the last crop with the face.
func (x *Extractor) scoreDirections(ctx context.Context, w *buffers, img *ports.Image, box ports.Box, v *directionScores, some ...int) error {
	for _, d := range some {
		for _, c := range fullPasses {
			score, seen, err := x.detectRotated(ctx, w, img, box, float64(d*eighth), c.size, c.fill)
			if err != nil {
				return err
			}
			v.scores[d] += score / float64(len(fullPasses))
			if score > 0 {
				v.measured[d] = seen
			}
		}
	}
	return nil
}

// detectRotated returns the score of the face of a box when the image is turned by an
// angle in degrees clockwise, 0 where none is found, and its landmarks in the image.
func (x *Extractor) detectRotated(ctx context.Context, w *buffers, img *ports.Image, box ports.Box, angle float64, size int, fill float64) (float64, ports.Landmarks, error) {
	t := turnedCrop(box, angle, size, fill)
	v := view{crop: w.crop(0, size), toImage: t.Inverse()}
	w.sampler.Crop(v.crop, img, t)
	faces, err := x.detector.Detect(ctx, v.crop, size)
	if err != nil {
		return 0, ports.Landmarks{}, err
	}
	face, ok := centralFace(faces, size)
	if !ok {
		return 0, ports.Landmarks{}, nil
	}
	return face.Score, v.landmarksInImage(face.Landmarks), nil
}

// turnedCrop returns the transform to a crop with the box in its middle, turned by an
// angle in degrees clockwise.
func turnedCrop(b ports.Box, angle float64, size int, fill float64) alignment.Transform {
	scale := fill * float64(size) / max(b.Width(), b.Height(), 1)
	sin, cos := math.Sincos(angle * math.Pi / 180)
	if math.Mod(angle, 90) == 0 {
		sin, cos = math.Round(sin), math.Round(cos)
	}
	t := alignment.Transform{A: scale * cos, B: scale * sin}
	centre := t.Apply(ports.Point{X: (b.X0 + b.X1) / 2, Y: (b.Y0 + b.Y1) / 2})
	middle := float64(size-1) / 2
	t.TX, t.TY = middle-centre.X, middle-centre.Y
	return t
}

// turned makes a copy of an image turned clockwise, which is valid until the next one.
func (w *buffers) turned(img *ports.Image, q turn) *ports.Image {
	width, height := img.Width, img.Height
	out := &ports.Image{Width: width, Height: height, FullWidth: img.FullWidth, FullHeight: img.FullHeight}
	if q%2 == 1 {
		out.Width, out.Height, out.FullWidth, out.FullHeight = height, width, img.FullHeight, img.FullWidth
	}
	out.Stride = 3 * out.Width
	n := out.Stride * out.Height
	w.copy = slices.Grow(w.copy[:0], n)[:n]
	out.Pix = w.copy
	origin, right := q.steps(width, height, img.Stride)
	for y := range out.Height {
		row := out.Pix[y*out.Stride:][:out.Stride]
		from := origin(y)
		for i := 0; i < len(row); i += 3 {
			p := img.Pix[from : from+3 : from+3]
			row[i], row[i+1], row[i+2] = p[0], p[1], p[2]
			from += right
		}
	}
	return out
}

// steps says where the pixels of a turned copy come from: origin is the offset of the
// first pixel of a row, right the distance from one pixel to the next.
func (q turn) steps(width, height, stride int) (origin func(y int) int, right int) {
	switch q {
	case 1:
		return func(y int) int { return (height-1)*stride + 3*y }, -stride
	case 2:
		return func(y int) int { return (height-1-y)*stride + 3*(width-1) }, -3
	case 3:
		return func(y int) int { return 3 * (width - 1 - y) }, stride
	}
	return func(y int) int { return y * stride }, 3
}

// inverseFace maps a face of a turned copy to the image of the given size.
func (q turn) inverseFace(f ports.Face, width, height int) ports.Face {
	a := q.inversePoint(ports.Point{X: f.Box.X0, Y: f.Box.Y0}, width, height)
	b := q.inversePoint(ports.Point{X: f.Box.X1, Y: f.Box.Y1}, width, height)
	f.Box = ports.Box{X0: min(a.X, b.X), Y0: min(a.Y, b.Y), X1: max(a.X, b.X), Y1: max(a.Y, b.Y)}
	for i, p := range f.Landmarks {
		f.Landmarks[i] = q.inversePoint(p, width, height)
	}
	return f
}

func (q turn) inversePoint(p ports.Point, width, height int) ports.Point {
	right, bottom := float64(width-1), float64(height-1)
	switch q {
	case 1:
		return ports.Point{X: p.Y, Y: bottom - p.X}
	case 2:
		return ports.Point{X: right - p.X, Y: bottom - p.Y}
	case 3:
		return ports.Point{X: right - p.Y, Y: p.X}
	}
	return p
}
