package extraction

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"imago/core/alignment"
	"imago/core/quality"
	"imago/ports"
)

// ReasonNoFace is the reason given for a picture without a face, in the words
// of the reference API.
const ReasonNoFace = "no face detected in the provided image"

// Options size an Extractor.
type Options struct {
	// Workers is how many pictures are worked on at once, at least 1. An idle worker
	// takes half of the detections of a picture that another works on.
	Workers int
	// Queue is how many more may wait.
	Queue int
	// DetectSizes are the longer sides in pixels at which faces are looked
	// for, ascending, at least one.
	DetectSizes []int
	// Refine measures the landmarks of the chosen face again, in upright crops of it.
	Refine bool
	// SmallestFace is the width, in pixels of the upright original, from which faces are
	// found in pictures of any size. With 0 nothing is searched at sizes above
	// DetectSizes.
	SmallestFace float64
	// ThreadTime returns the processor time that the calling thread has used. Spent is
	// called with the processor time that a picture took and the context of its call.
	// Both may be nil.
	ThreadTime func() time.Duration
	Spent      func(ctx context.Context, took time.Duration)
}

// Extractor makes templates from pictures. It is safe for concurrent use.
type Extractor struct {
	decoder   ports.Decoder
	detector  ports.Detector
	embedder  ports.Embedder
	options   Options
	admission *admission
	pool      sync.Pool // of *buffers
}

// New returns an Extractor over the three ports.
func New(decoder ports.Decoder, detector ports.Detector, embedder ports.Embedder, o Options) *Extractor {
	o.DetectSizes = slices.Clone(o.DetectSizes)
	return &Extractor{
		decoder: decoder, detector: detector, embedder: embedder, options: o,
		admission: newAdmission(o.Workers, o.Queue),
		pool:      sync.Pool{New: func() any { return new(buffers) }},
	}
}

// Probe returns the template (a unit vector) of the largest face of a picture,
// for a search.
//
// Errors: a Refusal of kind ErrInvalid or ErrTooLarge when the picture is
// unusable or shows no face; ErrOverloaded when no worker is free and the queue
// is full; ErrUnavailable; the context's error.
func (x *Extractor) Probe(ctx context.Context, picture []byte) ([]float32, error) {
	template, err := x.extractOne(ctx, picture, func(quality.Sample, *Explanation) error { return nil })
	return template.Vector, err
}

// Enrol is Probe for a picture that is to be enrolled: the gate's reasons
// against it make a Refusal of kind ErrInvalid. The template has its chip.
func (x *Extractor) Enrol(ctx context.Context, picture []byte, gate quality.Gate) (Template, error) {
	var chip *ports.Chip
	template, err := x.extractOne(ctx, picture, func(s quality.Sample, _ *Explanation) error {
		if reasons := gate.Reasons(s); len(reasons) > 0 {
			return ports.Refuse(ports.ErrInvalid, reasons...)
		}
		chip = s.Chip
		return nil
	})
	template.Chip = chip
	return template, err
}

// Template is what was made of one face of a picture.
type Template struct {
	Vector      []float32 // a unit vector
	Explanation Explanation
	// Chip is what the vector was made of. Only Enrol sets it.
	Chip *ports.Chip
}

// ProbeAll is Explain for the largest faces of a picture, at most a number of them, the
// largest first. The picture is searched in every turn. A face that cannot be aligned is
// left out, unless it is the largest.
func (x *Extractor) ProbeAll(ctx context.Context, picture []byte, most int, gate quality.Gate) ([]Template, error) {
	return x.extract(ctx, picture, most, explaining(gate))
}

// Load returns how many workers are busy and how many pictures wait.
func (x *Extractor) Load() (working, waiting int) {
	return len(x.admission.workers), len(x.admission.waiting)
}

// Reserve reserves a place for a picture of a client before it is received, so that one
// that could not be worked on is refused before its body is read. It answers
// ErrOverloaded when every place is reserved or, while other clients want places, when
// this client holds three times as many as are free. It refuses nobody while a worker
// is free or the queue is less than half full: the reserved pictures then arrive more
// slowly than they are worked on. release must be called when the work is done or given
// up; a second call does nothing.
func (x *Extractor) Reserve(client string) (release func(), err error) {
	return x.admission.reserve(client)
}

// Capacity returns the most that Load can be.
func (x *Extractor) Capacity() (workers, queue int) {
	return cap(x.admission.workers), cap(x.admission.waiting)
}

// An acceptFunc completes what is told of a face, or refuses it.
type acceptFunc func(quality.Sample, *Explanation) error

// extractOne is extract for the largest face.
func (x *Extractor) extractOne(ctx context.Context, picture []byte, accept acceptFunc) (Template, error) {
	templates, err := x.extract(ctx, picture, 1, accept)
	if err != nil {
		return Template{}, err
	}
	return templates[0], nil
}

// extract makes templates of the largest faces of a picture, at most a number of them and
// at least one.
func (x *Extractor) extract(ctx context.Context, picture []byte, most int, accept acceptFunc) ([]Template, error) {
	done, err := x.acquireWorker(ctx)
	if err != nil {
		return nil, err
	}
	defer done()

	f, err := x.find(ctx, picture)
	defer x.release(f)
	if err != nil {
		return nil, err
	}
	if len(f.faces) == 0 {
		return nil, ports.Refuse(ports.ErrInvalid, ReasonNoFace)
	}
	if most > 1 {
		if err := x.addTurned(ctx, f, most); err != nil {
			return nil, err
		}
	}
	var templates []Template
	var chips []*ports.Chip
	for i := range min(most, len(f.faces)) {
		sample, _, err := x.sample(ctx, picture, f, i)
		if i > 0 && errors.Is(err, ports.ErrInvalid) {
			continue
		}
		if err != nil {
			return nil, err
		}
		seen := Explanation{Box: original(f.faces[i], f.img.Reduction()).Box, Faces: len(f.faces), Turn: sample.Turn}
		if err := accept(sample, &seen); err != nil {
			return nil, err
		}
		templates, chips = append(templates, Template{Explanation: seen}), append(chips, sample.Chip)
	}
	vectors, err := x.embedder.Embed(ctx, chips)
	if err != nil {
		return nil, err
	}
	if len(vectors) != len(chips) {
		return nil, fmt.Errorf("extraction: %w: %d vectors for %d chips", ports.ErrUnavailable, len(vectors), len(chips))
	}
	for i := range templates {
		templates[i].Vector = vectors[i]
	}
	return templates, nil
}

// acquireWorker waits for a worker. On success done must be called when the work is
// done, by the same goroutine, which is locked to its thread until then.
func (x *Extractor) acquireWorker(ctx context.Context) (done func(), err error) {
	if err := x.admission.enter(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	o := &x.options
	if o.ThreadTime == nil || o.Spent == nil {
		return func() { x.admission.leave(began) }, nil
	}
	runtime.LockOSThread()
	before := o.ThreadTime()
	return func() {
		o.Spent(ctx, o.ThreadTime()-before)
		runtime.UnlockOSThread()
		x.admission.leave(began)
	}, nil
}

// found is a decoded picture with its faces, the largest first.
type found struct {
	img         *ports.Image
	finer       *ports.Image  // a copy with more pixels, where a face needs them
	faces       []ports.Face  // in pixels of img as it was sent
	orientation orientation   // of the first face, by which the picture was turned
	oriented    []orientation // of each face, after addTurned; score 0 where not measured
	buffers     *buffers
}

// release releases the decoded copies of a picture, to which nothing refers any more.
func (x *Extractor) release(f *found) {
	x.decoder.Release(f.img)
	x.decoder.Release(f.finer)
	x.pool.Put(f.buffers)
}

func (x *Extractor) largestSize() int { return x.options.DetectSizes[len(x.options.DetectSizes)-1] }

// find decodes a picture, detects the faces and measures how they are oriented. What it
// returns must be released, with an error too.
func (x *Extractor) find(ctx context.Context, picture []byte) (f *found, err error) {
	f = &found{buffers: x.pool.Get().(*buffers)}
	if f.img, err = x.decoder.Decode(ctx, picture, x.largestSize()); err != nil {
		return f, err
	}
	if f.faces, err = x.detect(ctx, f.img); err != nil {
		return f, err
	}
	return f, x.orient(ctx, picture, f)
}

// sample aligns the i-th face of a picture. The landmarks are in pixels of the copy that
// it returns.
func (x *Extractor) sample(ctx context.Context, picture []byte, f *found, i int) (quality.Sample, *ports.Image, error) {
	face, o, err := f.faces[i], f.orientation, error(nil)
	if f.oriented != nil {
		o = f.oriented[i]
	}
	if f.oriented != nil && o.score == 0 {
		if o, err = x.orientOther(ctx, f, &face); err != nil {
			return quality.Sample{}, nil, err
		}
	}
	img, err := x.decodeFiner(ctx, picture, f, i, &face)
	if err != nil {
		return quality.Sample{}, nil, err
	}
	if x.options.Refine {
		if err := x.refineLandmarks(ctx, f.buffers, img, &face.Landmarks); err != nil {
			return quality.Sample{}, nil, err
		}
	}
	t, err := alignment.Fit(face.Landmarks)
	if err != nil {
		return quality.Sample{}, nil, err
	}
	return quality.Sample{
		Face: face, Others: slices.Concat(f.faces[:i], f.faces[i+1:]), Reduction: f.img.Reduction(), Chip: f.buffers.sampler.Warp(img, t),
		Turn: o.turn.degrees(), UprightMargin: o.margin,
	}, img, nil
}

// detect returns the faces of a decoded picture, the largest first. It tries the sizes
// from small to large until it finds a face that is wide enough.
func (x *Extractor) detect(ctx context.Context, img *ports.Image) ([]ports.Face, error) {
	var faces []ports.Face
	for _, size := range x.options.DetectSizes {
		seen, err := x.detector.Detect(ctx, img, size)
		if err != nil {
			return nil, err
		}
		if len(seen) > 0 {
			faces = seen
			slices.SortStableFunc(faces, largerFirst)
		}
		longer := max(img.Width, img.Height)
		if longer <= size || len(faces) > 0 && faces[0].Box.Width()*float64(size)/float64(longer) >= sufficientWidth {
			break
		}
	}
	return faces, nil
}

// sufficientWidth is how wide a face must be, in pixels of the detector's input,
// for its landmarks to be as good as a larger input would give.
const sufficientWidth = 64

func largerFirst(a, b ports.Face) int {
	switch d := b.Box.Area() - a.Box.Area(); {
	case d > 0:
		return 1
	case d < 0:
		return -1
	}
	return 0
}

// decodeFiner returns a copy of the picture in which the i-th face has as many pixels as
// the chip, as far as the original has them, and moves the face's landmarks to it. The
// picture is decoded again, at a larger size, where it was decoded at a reduced one that
// is not enough: once for the largest face and once for all others.
func (x *Extractor) decodeFiner(ctx context.Context, picture []byte, f *found, i int, face *ports.Face) (*ports.Image, error) {
	t, err := alignment.Fit(face.Landmarks)
	if err != nil {
		return nil, err
	}
	if t.Scale() <= 1 || f.img.Width >= f.img.FullWidth {
		return f.img, nil
	}
	if size := f.sizeFor(t.Scale()); f.finer == nil || f.finer.Width < f.finer.FullWidth && max(f.finer.Width, f.finer.Height) < size {
		if i > 0 {
			size = max(size, f.sizeFor(largestScale(f.faces[i:])))
		}
		x.decoder.Release(f.finer)
		if f.finer, err = x.decoder.Decode(ctx, picture, size); err != nil {
			return nil, err
		}
	}
	face.Landmarks = rescale(face.Landmarks, f.img, f.finer)
	return f.finer, nil
}

// sizeFor returns the longer side of a copy that is larger than f.img by a scale.
func (f *found) sizeFor(scale float64) int {
	return int(math.Round(float64(max(f.img.Width, f.img.Height)) * scale))
}

// largestScale returns by how much an image must be larger for the chips of all faces
// that can be aligned.
func largestScale(faces []ports.Face) (scale float64) {
	for _, face := range faces {
		if t, err := alignment.Fit(face.Landmarks); err == nil {
			scale = max(scale, t.Scale())
		}
	}
	return scale
}

// rescale maps landmarks from one copy of a picture to another.
func rescale(l ports.Landmarks, from, to *ports.Image) ports.Landmarks {
	f := from.Reduction() / to.Reduction()
	for i := range l {
		l[i].X, l[i].Y = enlarge(l[i].X, f), enlarge(l[i].Y, f)
	}
	return l
}
