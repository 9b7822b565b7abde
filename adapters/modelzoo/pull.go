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

// timing bounds how long a pull waits and how often it retries.
type timing struct {
	attempts int           // at one source
	backoff  time.Duration // after the first failed attempt; doubled after each further one
	idle     time.Duration // without a byte from an address, from connecting to the end
	poll     time.Duration // for another pull of the same file to end
	pip      pipLimits
}

// With these a pull gives up on a dead network after 15 seconds of waiting.
var defaultTiming = timing{
	attempts: 5, backoff: time.Second, idle: 30 * time.Second, poll: 100 * time.Millisecond,
	pip: pipLimits{idle: 5 * time.Minute, total: time.Hour, poll: 100 * time.Millisecond},
}

// Pull brings the network file of a model into the models folder, unless the
// right file is there already. progress, which may be nil, is called from the
// calling goroutine with the bytes received and the bytes expected; the first may
// fall when a download restarts, and both change when another source is tried.
//
// The sources of the manifest are tried in their order. One that cannot be reached is
// retried after all others; one whose transfer is interrupted is retried with backoff
// first. The content is written to FILE.part, never more bytes than the manifest says, and
// renamed to FILE once its SHA-256 is verified. An interrupted download from a URL is
// resumed, in this call or in the next. Of several pulls of one file, in any number of
// processes, one downloads and the others wait for it. A downloaded package is kept until
// Close, for the other models in it.
//
// Errors: a Refusal of kind ErrNotFound when there is no such model, of kind ErrInvalid
// when the manifest names no source; an error with the reason of each source: ErrNotFound
// where none has the file, ErrInvalid where they have another one and ErrUnavailable where
// one of them cannot be reached or is interrupted; the context's error when it ends first;
// errors of package os.
func (z *Zoo) Pull(ctx context.Context, name string, progress func(done, total int64)) error {
	m, err := z.Manifest(name)
	if err != nil {
		return err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	return classify(ctx, m, z.pull(ctx, m, progress))
}

// Close removes the packages that pulls have fetched. The Zoo can be used further.
func (z *Zoo) Close() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.temp == nil {
		return nil
	}
	err := z.temp.remove()
	z.temp = nil
	return wrap(err)
}

func (z *Zoo) pull(ctx context.Context, m config.Manifest, progress func(done, total int64)) error {
	if done, err := z.isComplete(ctx, m, progress); done || err != nil {
		return err
	}
	if len(m.Sources) == 0 {
		return z.noSource(m)
	}
	if err := os.MkdirAll(z.dir, 0o755); err != nil {
		return err
	}
	partial, err := openPartial(ctx, z.path(m), z.timing.poll)
	if err != nil {
		return err
	}
	defer partial.release()
	// The pull that held the lock before may have completed the file.
	if done, err := z.isComplete(ctx, m, progress); done || err != nil {
		return err
	}
	if err := z.fill(ctx, partial, m, progress); err != nil {
		return err
	}
	progress(m.Size, m.Size)
	return partial.publish()
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

// fill completes and verifies the partial file from the first source that has the
// content. Sources that could not be reached are retried with backoff when all others have
// failed.
func (z *Zoo) fill(ctx context.Context, partial *partialFile, m config.Manifest, progress func(done, total int64)) error {
	failures := make([]*failure, len(m.Sources))
	pause := z.timing.backoff
	for turn := 1; ; turn++ {
		again := false
		for i, source := range m.Sources {
			if failures[i] != nil && failures[i].class != failUnreachable {
				continue
			}
			err := z.from(ctx, source, partial, m, progress)
			switch {
			case err == nil:
				return nil
			case ctx.Err() != nil:
				return ctx.Err()
			case !errors.As(err, &failures[i]):
				return err // not the source's: a full disk, say
			}
			again = again || failures[i].class == failUnreachable
		}
		if !again || turn == z.timing.attempts {
			return &sourcesError{m, failures}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

// from completes the partial file from one source.
func (z *Zoo) from(ctx context.Context, source config.Source, partial *partialFile, m config.Manifest, progress func(done, total int64)) error {
	if source.Package != nil {
		return z.unpack(ctx, *source.Package, partial, m, progress)
	}
	pause := z.timing.backoff
	for attempt := 1; ; attempt++ {
		err := z.attempt(ctx, source.URL, partial, m, progress)
		if !isTemporary(err) || attempt == z.timing.attempts {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

// attempt downloads the missing bytes and verifies the file. A wrong file is
// discarded; where it was assembled from several responses the source may have
// changed in between, so that a retry is worth it. (The digest decides,
// which is more than If-Range with an ETag could promise.)
func (z *Zoo) attempt(ctx context.Context, url string, partial *partialFile, m config.Manifest, progress func(done, total int64)) error {
	whole, err := z.download(ctx, url, partial, m, progress)
	if err != nil {
		return err
	}
	right, err := partial.verify(ctx, m)
	if right || err != nil {
		return err
	}
	if !whole {
		return fail(failTemporary, "%s was assembled from several responses and has a wrong SHA-256", m.File)
	}
	return fail(failMismatch, "it has another SHA-256")
}

// verify reports whether the partial file matches the manifest, and truncates it where it does
// not.
func (p *partialFile) verify(ctx context.Context, m config.Manifest) (bool, error) {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	err := verifyContent(ctx, p.file, m)
	if errors.Is(err, ports.ErrInvalid) {
		return false, p.discard()
	}
	return err == nil, err
}

// sleep pauses, or returns the context's error when it ends first.
func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
