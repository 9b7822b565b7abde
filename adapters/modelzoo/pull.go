package modelzoo

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"imago/config"
	"imago/ports"
)

// pace is how patient a pull is.
type pace struct {
	attempts int           // at one file
	backoff  time.Duration // after the first failed attempt; doubled after each further one
	idle     time.Duration // without a byte, from connecting to the end
	poll     time.Duration // for another pull of the same file to end
}

// With these a pull gives up on a dead network after 15 seconds of waiting.
var defaultPace = pace{attempts: 5, backoff: time.Second, idle: 30 * time.Second, poll: 100 * time.Millisecond}

// Pull downloads the network file of a model into the models folder, unless the
// right file is there already. progress, which may be nil, is called from the
// calling goroutine with the bytes there are and the bytes there will be; the
// first may fall when a download starts over.
//
// The bytes gather in FILE.part, never more than the manifest says, and become
// FILE in one step after their SHA-256 was found right. An interrupted pull
// goes on where it stopped, in this call (a few attempts with growing pauses)
// or in the next. Of several pulls of one file, in any number of processes, one
// downloads and the others wait for it.
//
// Errors: a Refusal of kind ErrNotFound when there is no such model or its
// source is gone, of kind ErrInvalid when the manifest names no source or the
// source has another file; ErrUnavailable when the source cannot be reached or
// breaks off; the context's error when it ends first; errors of package os.
func (z *Zoo) Pull(ctx context.Context, name string, progress func(done, total int64)) error {
	m, err := z.manifest(name)
	if err != nil {
		return err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	return classify(ctx, m, z.pull(ctx, m, progress))
}

func (z *Zoo) pull(ctx context.Context, m config.Manifest, progress func(done, total int64)) error {
	if done, err := z.isComplete(ctx, m, progress); done || err != nil {
		return err
	}
	if m.Source == "" {
		return z.sourceless(m)
	}
	if err := os.MkdirAll(z.dir, 0o755); err != nil {
		return err
	}
	part, err := openPart(ctx, z.path(m), z.pace.poll)
	if err != nil {
		return err
	}
	defer part.release()
	// Whoever held the part before may have finished the job.
	if done, err := z.isComplete(ctx, m, progress); done || err != nil {
		return err
	}
	if err := z.fill(ctx, part, m, progress); err != nil {
		return err
	}
	return part.publish()
}

// isComplete reports whether the right file is there.
func (z *Zoo) isComplete(ctx context.Context, m config.Manifest, progress func(done, total int64)) (bool, error) {
	fsys, found := z.locate(m)
	if !found {
		return false, ctx.Err()
	}
	err := verify(ctx, fsys, m)
	if errors.Is(err, ports.ErrInvalid) {
		return false, nil
	}
	if err == nil {
		progress(m.Size, m.Size)
	}
	return err == nil, err
}

// fill brings the part to its full, verified content.
func (z *Zoo) fill(ctx context.Context, part *part, m config.Manifest, progress func(done, total int64)) error {
	pause := z.pace.backoff
	for attempt := 1; ; attempt++ {
		err := z.attempt(ctx, part, m, progress)
		if err == nil || !isTemporary(err) || attempt == z.pace.attempts {
			return err
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

// attempt downloads what the part lacks and verifies the whole. A wrong whole is
// discarded; where it was put together from several answers the source may have
// changed in between, so that another attempt is worth it. (The digest decides,
// which is more than If-Range with an ETag could promise.)
func (z *Zoo) attempt(ctx context.Context, part *part, m config.Manifest, progress func(done, total int64)) error {
	inOneGo, err := z.download(ctx, part, m, progress)
	if err != nil {
		return err
	}
	if _, err := part.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	err = verifyContent(ctx, part.file, m)
	if !errors.Is(err, ports.ErrInvalid) {
		return err
	}
	if err := part.discard(); err != nil {
		return err
	}
	if !inOneGo {
		return temporary("the pieces of %s do not fit together", m.File)
	}
	return wrongSource(m, "it has another SHA-256")
}

// wait pauses, or returns the context's error when it ends first.
func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
