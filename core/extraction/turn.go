package extraction

import (
	"context"
	"math"
	"slices"

	"imago/core/alignment"
	"imago/ports"
)

// A face on its side or upside down is detected too, often with landmarks that look
// upright, and the templates of such faces resemble each other: strangers match. So the
// turn of the chosen face is settled before its landmarks are used, by the detector's
// own score for the face in crops that are turned. The crops are made from the box
// alone, which is about right however the face lies; the landmarks are not.

const (
	// sureScore is a confidence for a face in a picture as it lies from which on the
	// face does not lie on its side: in 733 pictures turned by 90 and 270 degrees none
	// reached 0.88, of 740 upright ones 735 reached 0.90 (YuNet-n and YuNet-s). One that
	// is upside down may reach it (19 of 1,394).
	sureScore = 0.9
	// headSize and headFill are those of the look that tells such a face upside down.
	// It is when that finds it with more confidence, and not when it finds it with less
	// by headMargin, as it does for eleven in twelve upright ones.
	headSize, headFill = 96, 0.6
	headMargin         = 0.06
)

// careful are the looks in each direction where one is not enough. Their mean counts.
var careful = [...]struct {
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

// A stance is how a face lies.
type stance struct {
	turn turn
	// score is the confidence in the face as it stands upright.
	score float64
	// margin is by how much it exceeds that in every direction that was looked at and
	// is at least a quarter turn away.
	margin float64
	// landmarks are those measured in that direction; nil where no look in it was needed.
	landmarks *ports.Landmarks
	// slanted says that the face lies about half-way between two quarters.
	slanted bool
}

// doubtfulScore is a confidence below which a face is not relied on while the picture
// was not looked at from all sides; one that is found only then needs leastScore.
// clearMargin is the like for the margin.
const (
	doubtfulScore = 0.85
	leastScore    = 0.75
	clearMargin   = 0.03
)

// sure reports whether a stance is relied on without looking further.
func (s stance) sure() bool { return s.score >= doubtfulScore && s.margin >= clearMargin }

// better reports whether a stance is to be relied on rather than another.
func (s stance) better(than stance) bool {
	clear, other := s.margin >= clearMargin, than.margin >= clearMargin
	return s.score >= leastScore && (clear && !other || clear == other && s.score > than.score)
}

// orient settles how the largest face lies and, where it is not upright, has the faces
// be those that the picture shows when it is turned. A picture that shows no face for
// sure is looked at more closely, then from all sides.
func (x *Extractor) orient(ctx context.Context, picture []byte, f *found) (err error) {
	if len(f.faces) > 0 {
		if f.stance, err = x.settle(ctx, f.space, f.img, f.faces[0]); err != nil {
			return err
		}
	}
	if f.stance.sure() {
		return x.lookTurned(ctx, f)
	}
	if err := x.lookCloser(ctx, picture, f); err != nil || f.stance.sure() {
		return err
	}
	return x.lookAround(ctx, f)
}

// lookAround looks for faces in the picture turned by each quarter and each eighth
// between them, and takes those of the turn in which the largest is seen best.
func (x *Extractor) lookAround(ctx context.Context, f *found) error {
	if f.stance.turn != 0 || f.stance.slanted {
		f.faces[0].Landmarks = *f.stance.landmarks // unless it is seen better
	}
	for _, q := range []turn{2, 1, 3} {
		faces, s, err := x.detectTurned(ctx, f, q)
		if err != nil {
			return err
		}
		if len(faces) > 0 && s.turn == 0 && s.better(f.stance) {
			f.take(faces, s, q)
		}
	}
	for d := 1; d < directions && !f.stance.sure(); d += 2 {
		faces, s, err := x.detectSlanted(ctx, f, d)
		if err != nil {
			return err
		}
		if len(faces) > 0 && s.better(f.stance) {
			f.faces, f.stance = faces, s
			f.faces[0].Landmarks = *s.landmarks
		}
	}
	return nil
}

// slantedSize is the side in pixels at which a picture turned by an eighth is looked at.
const slantedSize = 320

// detectSlanted returns the faces of the picture turned by an odd number of eighths, in
// pixels of the picture as it was sent, the largest first, and how that lies.
func (x *Extractor) detectSlanted(ctx context.Context, f *found, direction int) (faces []ports.Face, s stance, err error) {
	w, h := float64(f.img.Width), float64(f.img.Height)
	diagonal := math.Hypot(w, h)
	size := min(slantedSize, int(math.Ceil(diagonal)))
	whole := ports.Box{X0: (w - diagonal) / 2, X1: (w + diagonal) / 2, Y0: (h - diagonal) / 2, Y1: (h + diagonal) / 2}
	t := turnedCrop(whole, float64(direction*eighth), size, 1)
	v := view{crop: f.space.take(1, size), toImage: t.Inverse()}
	f.space.sampler.Crop(v.crop, f.img, t)
	if faces, err = x.detector.Detect(ctx, v.crop, size); err != nil || len(faces) == 0 {
		return nil, stance{}, err
	}
	slices.SortStableFunc(faces, largerFirst)
	for i := range faces {
		faces[i] = v.backFace(faces[i])
	}
	s, err = x.settleCarefully(ctx, f.space, f.img, faces[0])
	return faces, s, err
}

// backFace carries a face of the crop to the image. Its box keeps its size and its
// centre.
func (v *view) backFace(face ports.Face) ports.Face {
	b, scale := face.Box, v.toImage.Scale()
	centre := v.toImage.Apply(ports.Point{X: (b.X0 + b.X1) / 2, Y: (b.Y0 + b.Y1) / 2})
	width, height := scale*b.Width()/2, scale*b.Height()/2
	return ports.Face{
		Box:   ports.Box{X0: centre.X - width, X1: centre.X + width, Y0: centre.Y - height, Y1: centre.Y + height},
		Score: face.Score, Landmarks: v.back(face.Landmarks),
	}
}

// lookTurned looks for faces in the picture as it is upright, if it is not.
func (x *Extractor) lookTurned(ctx context.Context, f *found) error {
	q := f.stance.turn
	if f.stance.slanted {
		f.faces[0].Landmarks = *f.stance.landmarks
	}
	if q == 0 {
		return nil
	}
	faces, s, err := x.detectTurned(ctx, f, q)
	if err != nil {
		return err
	}
	if len(faces) > 0 && s.turn == 0 {
		f.take(faces, s, q)
		return nil
	}
	// The largest one lies otherwise again, or there is none: the one that was
	// chosen first stays, as it was seen upright.
	f.faces[0].Landmarks = *f.stance.landmarks
	return nil
}

// detectTurned returns the faces of the turned picture, in its pixels, the largest
// first, and how that lies in it.
func (x *Extractor) detectTurned(ctx context.Context, f *found, q turn) (faces []ports.Face, s stance, err error) {
	img := f.space.turned(f.img, q)
	if faces, err = x.detect(ctx, img); err != nil || len(faces) == 0 {
		return nil, stance{}, err
	}
	s, err = x.settle(ctx, f.space, img, faces[0])
	return faces, s, err
}

// take has faces of the turned picture be those of the picture as it was sent.
func (f *found) take(faces []ports.Face, s stance, q turn) {
	if s.slanted {
		faces[0].Landmarks = *s.landmarks
	}
	for i := range faces {
		faces[i] = q.back(faces[i], f.img.Width, f.img.Height)
	}
	s.turn = q
	f.faces, f.stance = faces, s
}

// settle tells how a face lies in an image.
func (x *Extractor) settle(ctx context.Context, w *workspace, img *ports.Image, face ports.Face) (stance, error) {
	if face.Score < sureScore {
		return x.settleCarefully(ctx, w, img, face)
	}
	score, _, err := x.lookFrom(ctx, w, img, face.Box, 180, headSize, headFill)
	if err != nil {
		return stance{}, err
	}
	if score < face.Score-headMargin {
		return stance{score: face.Score, margin: face.Score - score}, nil
	}
	v := vote{}
	if err := x.lookInto(ctx, w, img, face.Box, &v, 0, directions/2); err != nil {
		return stance{}, err
	}
	return v.stance(), nil
}

// settleCarefully looks at the face in the four quarters and, where none of them shows
// it well, between them.
func (x *Extractor) settleCarefully(ctx context.Context, w *workspace, img *ports.Image, face ports.Face) (stance, error) {
	v := vote{}
	if err := x.lookInto(ctx, w, img, face.Box, &v, 0, 2, 4, 6); err != nil {
		return stance{}, err
	}
	if v.scores[v.highest()] < doubtfulScore {
		if err := x.lookInto(ctx, w, img, face.Box, &v, 1, 3, 5, 7); err != nil {
			return stance{}, err
		}
	}
	return v.stance(), nil
}

// A vote is what looks at a face in several directions, counted in eighths, have seen:
// the confidence, 0 where no face was found, and the landmarks.
type vote struct {
	scores   [directions]float64
	measured [directions]ports.Landmarks
}

// highest returns the direction with the highest score; of equals the first.
func (v *vote) highest() (best int) {
	for d, score := range v.scores {
		if score > v.scores[best] {
			best = d
		}
	}
	return best
}

// stance returns the outcome.
func (v *vote) stance() stance {
	best := v.highest()
	s := stance{
		turn: v.turn(best), slanted: best%2 == 1,
		score: v.scores[best], margin: v.scores[best], landmarks: &v.measured[best],
	}
	for d, score := range v.scores {
		if apart(d, best) >= directions/4 {
			s.margin = min(s.margin, s.score-score)
		}
	}
	return s
}

// turn returns the turn for a direction, for one between two quarters that with the
// higher score.
func (v *vote) turn(direction int) turn {
	next := (direction + 1) % directions
	if direction%2 == 1 && v.scores[next] > v.scores[direction-1] {
		return turn(next / 2)
	}
	return turn(direction / 2)
}

// apart returns how many eighths lie between two directions.
func apart(a, b int) int {
	d := (a - b + directions) % directions
	return min(d, directions-d)
}

// lookInto looks at the face of a box in some directions. The mean confidence of the
// careful looks counts, and the landmarks of the last one that found the face.
func (x *Extractor) lookInto(ctx context.Context, w *workspace, img *ports.Image, box ports.Box, v *vote, some ...int) error {
	for _, d := range some {
		for _, c := range careful {
			score, seen, err := x.lookFrom(ctx, w, img, box, float64(d*eighth), c.size, c.fill)
			if err != nil {
				return err
			}
			v.scores[d] += score / float64(len(careful))
			if score > 0 {
				v.measured[d] = seen
			}
		}
	}
	return nil
}

// lookFrom returns the confidence in the face of a box when the image is turned by an
// angle in degrees clockwise, 0 where none is found, and its landmarks in the image.
func (x *Extractor) lookFrom(ctx context.Context, w *workspace, img *ports.Image, box ports.Box, angle float64, size int, fill float64) (float64, ports.Landmarks, error) {
	t := turnedCrop(box, angle, size, fill)
	v := view{crop: w.take(0, size), toImage: t.Inverse()}
	w.sampler.Crop(v.crop, img, t)
	faces, err := x.detector.Detect(ctx, v.crop, size)
	if err != nil {
		return 0, ports.Landmarks{}, err
	}
	face, ok := central(faces, size)
	if !ok {
		return 0, ports.Landmarks{}, nil
	}
	return face.Score, v.back(face.Landmarks), nil
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

// turned makes a copy of an image turned clockwise, which lasts until the next one.
func (w *workspace) turned(img *ports.Image, q turn) *ports.Image {
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

// steps tells where the pixels of a turned copy come from: origin is the place of the
// first pixel of a row, right the way from one to the next.
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

// back carries a face of a turned copy to the image of the given size.
func (q turn) back(f ports.Face, width, height int) ports.Face {
	a := q.backPoint(ports.Point{X: f.Box.X0, Y: f.Box.Y0}, width, height)
	b := q.backPoint(ports.Point{X: f.Box.X1, Y: f.Box.Y1}, width, height)
	f.Box = ports.Box{X0: min(a.X, b.X), Y0: min(a.Y, b.Y), X1: max(a.X, b.X), Y1: max(a.Y, b.Y)}
	for i, p := range f.Landmarks {
		f.Landmarks[i] = q.backPoint(p, width, height)
	}
	return f
}

func (q turn) backPoint(p ports.Point, width, height int) ports.Point {
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
