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
	attempts int           // at one source
	backoff  time.Duration // after the first failed attempt; doubled after each further one
	idle     time.Duration // without a byte from an address, from connecting to the end
	poll     time.Duration // for another pull of the same file to end
	client   clientPace
}

// With these a pull gives up on a dead network after 15 seconds of waiting.
var defaultPace = pace{
	attempts: 5, backoff: time.Second, idle: 30 * time.Second, poll: 100 * time.Millisecond,
	client: clientPace{idle: 5 * time.Minute, total: time.Hour, poll: 100 * time.Millisecond},
}

// Pull brings the network file of a model into the models folder, unless the
// right file is there already. progress, which may be nil, is called from the
// calling goroutine with the bytes there are and the bytes there will be; the
// first may fall when a download starts over, and both change when another source
// is tried.
//
// The sources of the manifest are tried in their order. One that cannot be reached is
// left for the next at once and tried again when that fails too; one that breaks off is
// given a few attempts with growing pauses first. Whatever a source brings gathers in
// FILE.part, never more than the manifest says, and becomes FILE in one step after its
// SHA-256 was found right. An interrupted download from an address goes on where it
// stopped, in this call or in the next. Of several pulls of one file, in any number of
// processes, one downloads and the others wait for it. A package that was fetched is
// kept until Close, for the other models in it.
//
// Errors: a Refusal of kind ErrNotFound when there is no such model, of kind ErrInvalid
// when the manifest names no source; an error that says of each source why it failed,
// which is ErrNotFound where none has the file, ErrInvalid where what they have is
// another one and ErrUnavailable where one of them cannot be reached or breaks off; the
// context's error when it ends first; errors of package os.
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

// Close removes the packages that pulls have fetched. The Zoo can be used further.
func (z *Zoo) Close() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.workspace == nil {
		return nil
	}
	err := z.workspace.remove()
	z.workspace = nil
	return wrap(err)
}

func (z *Zoo) pull(ctx context.Context, m config.Manifest, progress func(done, total int64)) error {
	if done, err := z.isComplete(ctx, m, progress); done || err != nil {
		return err
	}
	if len(m.Sources) == 0 {
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
	progress(m.Size, m.Size)
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

// fill brings the part to its full, verified content from the first source that has
// it. Sources that could not be reached get further turns, with growing pauses, when all
// others have failed.
func (z *Zoo) fill(ctx context.Context, part *part, m config.Manifest, progress func(done, total int64)) error {
	failures := make([]*failure, len(m.Sources))
	pause := z.pace.backoff
	for turn := 1; ; turn++ {
		again := false
		for i, source := range m.Sources {
			if failures[i] != nil && failures[i].class != unreached {
				continue
			}
			err := z.from(ctx, source, part, m, progress)
			switch {
			case err == nil:
				return nil
			case ctx.Err() != nil:
				return ctx.Err()
			case !errors.As(err, &failures[i]):
				return err // not the source's: a full disk, say
			}
			again = again || failures[i].class == unreached
		}
		if !again || turn == z.pace.attempts {
			return &unobtainable{m, failures}
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

// from fills the part from one source.
func (z *Zoo) from(ctx context.Context, source config.Source, part *part, m config.Manifest, progress func(done, total int64)) error {
	if source.Package != nil {
		return z.unpack(ctx, *source.Package, part, m, progress)
	}
	pause := z.pace.backoff
	for attempt := 1; ; attempt++ {
		err := z.attempt(ctx, source.URL, part, m, progress)
		if !isTemporary(err) || attempt == z.pace.attempts {
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
func (z *Zoo) attempt(ctx context.Context, url string, part *part, m config.Manifest, progress func(done, total int64)) error {
	inOneGo, err := z.download(ctx, url, part, m, progress)
	if err != nil {
		return err
	}
	right, err := part.verify(ctx, m)
	if right || err != nil {
		return err
	}
	if !inOneGo {
		return temporary("the pieces of %s do not fit together", m.File)
	}
	return other("it has another SHA-256")
}

// verify reports whether the part is what the manifest says, and discards it where it is
// not.
func (p *part) verify(ctx context.Context, m config.Manifest) (bool, error) {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	err := verifyContent(ctx, p.file, m)
	if errors.Is(err, ports.ErrInvalid) {
		return false, p.discard()
	}
	return err == nil, err
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
