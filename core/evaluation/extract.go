package evaluation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"imago/core/extraction"
	"imago/core/picturefile"
	"imago/core/quality"
	"imago/ports"
)

// Examiner is what a run needs of extraction.Extractor.
type Examiner interface {
	Examine(ctx context.Context, picture []byte, gate quality.Gate) (template []float32, reasons []string, err error)
}

// Template is the network's vector for a picture.
type Template struct {
	Picture
	Vector []float32 // of unit length
}

// FailureKind says why a picture failed.
type FailureKind string

// The kinds of failures.
const (
	// PassedOver is a file that is no labelled picture; it counts in no rate.
	PassedOver FailureKind = "passed over"
	// Unusable is a picture that cannot be read or decoded.
	Unusable FailureKind = "unusable"
	// NoFace is a failure to detect.
	NoFace FailureKind = "no face"
	// Refused is a picture that the quality gate would not enrol. It is
	// evaluated nevertheless, as a search would use it.
	Refused FailureKind = "refused"
)

// Failure is a picture that has no template, or would be refused at enrolment.
type Failure struct {
	Picture
	Kind    FailureKind
	Reasons []string
}

// Options are the settings of an extraction.
type Options struct {
	// Workers is how many pictures are examined at once, at least 1, and no
	// more than the Examiner accepts.
	Workers int
	// ImageBytes is the largest picture file, in bytes.
	ImageBytes int
	Gate       quality.Gate
	// Progress, where set, is called with the number of pictures done; the calls
	// never overlap.
	Progress func(done int)
}

// Extract returns the templates of pictures, in their order, and the Failures, also in
// their order: pictures without a template, and those that the gate refuses.
//
// An error ends the run: the Examiner is unavailable, or the context ended.
func Extract(ctx context.Context, fsys fs.FS, pictures []Picture, e Examiner, o Options) ([]Template, []Failure, error) {
	x := &extractRun{fsys: fsys, examiner: e, o: o, results: make([]examined, len(pictures))}
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

// examined is the outcome for a picture.
type examined struct {
	vector  []float32
	kind    FailureKind
	reasons []string
}

type extractRun struct {
	fsys     fs.FS
	examiner Examiner
	o        Options
	results  []examined // by picture; each is written by one worker

	mu   sync.Mutex // guards done and the calls of Progress
	done int
}

func (x *extractRun) all(parent context.Context, pictures []Picture) error {
	workers, ctx := errgroup.WithContext(parent)
	workers.SetLimit(max(1, x.o.Workers))
	for i, p := range pictures {
		if ctx.Err() != nil {
			break
		}
		workers.Go(func() (err error) {
			if x.results[i], err = x.examine(ctx, p.Path); err != nil {
				return fmt.Errorf("%s: %w", p.Path, err)
			}
			x.count()
			return nil
		})
	}
	err := workers.Wait()
	return cmp.Or(parent.Err(), err)
}

func (x *extractRun) examine(ctx context.Context, path string) (examined, error) {
	data, err := picturefile.Read(x.fsys, path, x.o.ImageBytes)
	if err != nil {
		return failureOf(err)
	}
	vector, reasons, err := x.examiner.Examine(ctx, data, x.o.Gate)
	if err != nil {
		return failureOf(err)
	}
	r := examined{vector: vector, reasons: reasons}
	if len(reasons) > 0 {
		r.kind = Refused
	}
	return r, nil
}

// failureOf returns the failure for a refusal. Any other error ends the run.
func failureOf(err error) (examined, error) {
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

func (x *extractRun) count() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done++
	if x.o.Progress != nil {
		x.o.Progress(x.done)
	}
}
