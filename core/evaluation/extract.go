package evaluation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"imago/core/extraction"
	"imago/core/picturefile"
	"imago/core/quality"
	"imago/ports"
)

// Examiner is what a run needs of extraction.Extractor.
type Examiner interface {
	Examine(ctx context.Context, picture []byte, gate quality.Gate) (template []float32, reasons []string, err error)
}

// Template is what the network made of a picture.
type Template struct {
	Picture
	Vector []float32 // of unit length
}

// FailureKind says what a picture is lost to.
type FailureKind string

// The kinds of failures.
const (
	// PassedOver is a file that is no labelled picture; it is in no rate.
	PassedOver FailureKind = "passed over"
	// Unusable is a picture that cannot be read or decoded.
	Unusable FailureKind = "unusable"
	// NoFace is a failure to detect.
	NoFace FailureKind = "no face"
	// Refused is a picture that the quality gate would not enrol. It is
	// evaluated nevertheless, as a search would use it.
	Refused FailureKind = "refused"
)

// Failure is a picture that was lost, or would be at enrolment, with reasons.
type Failure struct {
	Picture
	Kind    FailureKind
	Reasons []string
}

// Options steer an extraction.
type Options struct {
	// Workers is how many pictures are worked on at once, at least 1, and no
	// more than the Examiner takes.
	Workers int
	// ImageBytes is the largest picture file, in bytes.
	ImageBytes int
	Gate       quality.Gate
	// Progress, where set, is told how many pictures are done, never by two
	// goroutines at once.
	Progress func(done int)
}

// Extract makes the templates of pictures, in their order. Pictures without one,
// and those that the gate refuses, are Failures, in their order too.
//
// An error ends the run: the Examiner cannot go on, or the context ended.
func Extract(ctx context.Context, fsys fs.FS, pictures []Picture, e Examiner, o Options) ([]Template, []Failure, error) {
	x := &extracting{fsys: fsys, examiner: e, o: o, results: make([]examined, len(pictures))}
	if err := x.all(ctx, pictures); err != nil {
		return nil, nil, err
	}
	var templates []Template
	var failures []Failure
	for i, r := range x.results {
		if r.vector != nil {
			templates = append(templates, Template{pictures[i], r.vector})
		}
		if r.kind != "" {
			failures = append(failures, Failure{pictures[i], r.kind, r.reasons})
		}
	}
	return templates, failures, nil
}

// examined is what became of a picture.
type examined struct {
	vector  []float32
	kind    FailureKind
	reasons []string
}

type extracting struct {
	fsys     fs.FS
	examiner Examiner
	o        Options
	results  []examined // by picture; each is written by one worker

	mu   sync.Mutex // guards done and the calls of Progress
	done int
}

func (x *extracting) all(parent context.Context, pictures []Picture) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	jobs := make(chan int)
	var workers sync.WaitGroup
	for range max(1, x.o.Workers) {
		workers.Go(func() {
			for i := range jobs {
				r, err := x.one(ctx, pictures[i].Path)
				if err != nil {
					cancel(fmt.Errorf("%s: %w", pictures[i].Path, err))
					continue
				}
				x.results[i] = r
				x.count()
			}
		})
	}
	hand(ctx, len(pictures), jobs)
	workers.Wait()
	if parent.Err() != nil {
		return parent.Err()
	}
	return context.Cause(ctx)
}

// hand hands out numbers until they are all taken or the context ends.
func hand(ctx context.Context, n int, jobs chan<- int) {
	defer close(jobs)
	for i := range n {
		select {
		case jobs <- i:
		case <-ctx.Done():
			return
		}
	}
}

func (x *extracting) one(ctx context.Context, path string) (examined, error) {
	data, err := picturefile.Read(x.fsys, path, x.o.ImageBytes)
	if err != nil {
		return lost(err)
	}
	vector, reasons, err := x.examiner.Examine(ctx, data, x.o.Gate)
	if err != nil {
		return lost(err)
	}
	r := examined{vector: vector, reasons: reasons}
	if len(reasons) > 0 {
		r.kind = Refused
	}
	return r, nil
}

// lost turns a refusal into a failure; any other error concerns the run.
func lost(err error) (examined, error) {
	refusal := (*ports.Refusal)(nil)
	if !errors.As(err, &refusal) {
		return examined{}, err
	}
	kind := Unusable
	if slices.Contains(refusal.Reasons, extraction.ReasonNoFace) {
		kind = NoFace
	}
	return examined{kind: kind, reasons: refusal.Reasons}, nil
}

func (x *extracting) count() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done++
	if x.o.Progress != nil {
		x.o.Progress(x.done)
	}
}
