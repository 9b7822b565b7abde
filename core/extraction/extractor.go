package extraction

import (
	"context"
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
	// Workers is how many pictures are worked on at once, at least 1. One that
	// would be idle helps with a picture that another works on.
	Workers int
	// Queue is how many more may wait.
	Queue int
	// DetectSizes are the longer sides in pixels at which faces are looked
	// for, ascending, at least one.
	DetectSizes []int
	// Refine has the landmarks of the chosen face measured again in upright
	// crops of it.
	Refine bool
	// SmallestFace is how wide a face may be, in pixels of the upright original, and
	// still be found however large the picture is; 0 has no picture be looked at in
	// more pixels than DetectSizes.
	SmallestFace float64
	// ThreadTime returns the processor time that the calling thread has used, and
	// Spent is told how much of it the work on the picture of a context took. Both
	// may be nil.
	ThreadTime func() time.Duration
	Spent      func(ctx context.Context, took time.Duration)
}

// Extractor makes templates from pictures. It is safe for concurrent use.
type Extractor struct {
	decoder   ports.Decoder
	detector  ports.Detector
	embedder  ports.Embedder
	admission *admission
	sizes     []int
	refine    bool
	time      func() time.Duration
	spent     func(context.Context, time.Duration)
	smallest  float64
	spaces    sync.Pool // of *workspace
}

// New returns an Extractor over the three ports.
func New(decoder ports.Decoder, detector ports.Detector, embedder ports.Embedder, o Options) *Extractor {
	return &Extractor{
		decoder: decoder, detector: detector, embedder: embedder,
		admission: newAdmission(o.Workers, o.Queue), sizes: slices.Clone(o.DetectSizes), refine: o.Refine, smallest: o.SmallestFace,
		time: o.ThreadTime, spent: o.Spent,
		spaces: sync.Pool{New: func() any { return new(workspace) }},
	}
}

// Probe returns the template (a unit vector) of the largest face of a picture,
// for a search.
//
// Errors: a Refusal of kind ErrInvalid or ErrTooLarge when the picture is
// unusable or shows no face; ErrOverloaded when no worker is free and the queue
// is full; ErrUnavailable; the context's error.
func (x *Extractor) Probe(ctx context.Context, picture []byte) ([]float32, error) {
	return x.extract(ctx, picture, func(quality.Sample) error { return nil })
}

// Enrol is Probe for a picture that is to be enrolled: the gate's reasons
// against it make a Refusal of kind ErrInvalid.
func (x *Extractor) Enrol(ctx context.Context, picture []byte, gate quality.Gate) ([]float32, error) {
	return x.extract(ctx, picture, func(s quality.Sample) error {
		if reasons := gate.Reasons(s); len(reasons) > 0 {
			return ports.Refuse(ports.ErrInvalid, reasons...)
		}
		return nil
	})
}

// Load returns how many workers are busy now and how many pictures wait.
func (x *Extractor) Load() (working, waiting int) {
	return len(x.admission.workers), len(x.admission.waiting)
}

// Reserve announces a picture of a client that is still to be received and then to
// be given to one of the other methods, so that a picture that could not be worked
// on need not be received first. It answers ErrOverloaded when as many are announced
// as can be in work and waiting, or, while other clients want places, this one has
// three times as many as are left, and nothing but overload keeps them: while
// pictures arrive slowly and fewer than half of the places in the queue are
// taken, more are let in. The release must be called when the work is done or
// given up; a second call does nothing.
func (x *Extractor) Reserve(client string) (release func(), err error) {
	return x.admission.reserve(client)
}

// Capacity returns the most that Load can be.
func (x *Extractor) Capacity() (workers, queue int) {
	return cap(x.admission.workers), cap(x.admission.waiting)
}

func (x *Extractor) extract(ctx context.Context, picture []byte, accept func(quality.Sample) error) ([]float32, error) {
	done, err := x.work(ctx)
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
	sample, err := x.sample(ctx, picture, f)
	if err != nil {
		return nil, err
	}
	if err := accept(sample); err != nil {
		return nil, err
	}
	vectors, err := x.embedder.Embed(ctx, []*ports.Chip{sample.Chip})
	if err != nil {
		return nil, err
	}
	if len(vectors) != 1 {
		return nil, fmt.Errorf("extraction: %w: %d vectors for one chip", ports.ErrUnavailable, len(vectors))
	}
	return vectors[0], nil
}

// work waits for a worker. On success done must be called when the work is done, by
// the same goroutine, which stays on its thread until then.
func (x *Extractor) work(ctx context.Context) (done func(), err error) {
	if err := x.admission.enter(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	if x.time == nil || x.spent == nil {
		return func() { x.admission.leave(began) }, nil
	}
	runtime.LockOSThread()
	before := x.time()
	return func() {
		x.spent(ctx, x.time()-before)
		runtime.UnlockOSThread()
		x.admission.leave(began)
	}, nil
}

// found is a decoded picture with its faces, the largest first.
type found struct {
	img    *ports.Image
	finer  *ports.Image // with more pixels, where the largest face needs them
	faces  []ports.Face // in pixels of img, as it was sent
	stance stance       // of the first face
	space  *workspace
}

// release gives the decoded copies of a picture back. What was made from them keeps
// no part of them.
func (x *Extractor) release(f *found) {
	x.decoder.Release(f.img)
	x.decoder.Release(f.finer)
	x.spaces.Put(f.space)
}

// find decodes a picture, looks for faces and settles how they lie. What it returns is
// to be released, also beside an error.
func (x *Extractor) find(ctx context.Context, picture []byte) (f *found, err error) {
	f = &found{space: x.spaces.Get().(*workspace)}
	if f.img, err = x.decoder.Decode(ctx, picture, x.sizes[len(x.sizes)-1]); err != nil {
		return f, err
	}
	if f.faces, err = x.detect(ctx, f.img); err != nil {
		return f, err
	}
	return f, x.orient(ctx, picture, f)
}

// sample aligns the largest face of a picture that has one. Its landmarks lie in the
// finest copy.
func (x *Extractor) sample(ctx context.Context, picture []byte, f *found) (quality.Sample, error) {
	face, reduction := f.faces[0], f.img.Reduction()
	if err := x.sharpen(ctx, picture, f, &face); err != nil {
		return quality.Sample{}, err
	}
	if x.refine {
		if err := x.refineLandmarks(ctx, f.space, f.finest(), &face.Landmarks); err != nil {
			return quality.Sample{}, err
		}
	}
	t, err := alignment.Fit(face.Landmarks)
	if err != nil {
		return quality.Sample{}, err
	}
	return quality.Sample{
		Face: face, Others: f.faces[1:], Reduction: reduction, Chip: f.space.sampler.Warp(f.finest(), t),
		Turn: f.stance.turn.degrees(), UprightMargin: f.stance.margin,
	}, nil
}

// finest returns the copy with the most pixels.
func (f *found) finest() *ports.Image {
	if f.finer != nil {
		return f.finer
	}
	return f.img
}

// detect returns the faces of a decoded picture, the largest first. Sizes are
// tried from small to large until one shows a face that is sufficient.
func (x *Extractor) detect(ctx context.Context, img *ports.Image) ([]ports.Face, error) {
	var faces []ports.Face
	for _, size := range x.sizes {
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

// sharpen sees to a copy of the picture with as many pixels in the face as the
// chip needs: a picture that was decoded at a reduced size and has fewer is
// decoded again, and the face's landmarks are carried over to it.
func (x *Extractor) sharpen(ctx context.Context, picture []byte, f *found, face *ports.Face) error {
	t, err := alignment.Fit(face.Landmarks)
	if err != nil {
		return err
	}
	scale := t.Scale()
	if scale <= 1 || f.img.Width >= f.img.FullWidth {
		return nil
	}
	longer := float64(max(f.img.Width, f.img.Height))
	if f.finer, err = x.decoder.Decode(ctx, picture, int(math.Round(longer*scale))); err != nil {
		return err
	}
	face.Landmarks = rescale(face.Landmarks, f.img, f.finer)
	return nil
}

// rescale carries landmarks from one copy of a picture to another.
func rescale(l ports.Landmarks, from, to *ports.Image) ports.Landmarks {
	f := from.Reduction() / to.Reduction()
	for i := range l {
		l[i].X, l[i].Y = enlarge(l[i].X, f), enlarge(l[i].Y, f)
	}
	return l
}
