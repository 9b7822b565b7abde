package ports

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The sentinel errors. An adapter wraps one of them around the cause, as in
//
//	fmt.Errorf("pgstore: add: %w: %w", ports.ErrUnavailable, err)
//
// so that errors.Is finds the sentinel and the log has the cause. Callers
// compare with errors.Is only. A cancelled context stays visible as
// context.Canceled or context.DeadlineExceeded and is never wrapped in one of
// these.
var (
	// ErrInvalid says that the input cannot be accepted as it is: sending it
	// again unchanged cannot succeed.
	ErrInvalid = errors.New("invalid input")

	// ErrTooLarge says that the input exceeds a configured size limit.
	ErrTooLarge = errors.New("input too large")

	// ErrExists says that what should be created exists already.
	ErrExists = errors.New("already exists")

	// ErrNotFound says that what was named does not exist.
	ErrNotFound = errors.New("not found")

	// ErrOnlyFace says that a face is the only one of its user: it goes with the user
	// alone.
	ErrOnlyFace = errors.New("only face of the user")

	// ErrResembles says that a face resembles one of another user; see Resemblance.
	ErrResembles = errors.New("resembles another user")

	// ErrUnauthorized says that the caller presented no valid key.
	ErrUnauthorized = errors.New("unauthorized")

	// ErrForbidden says that the caller is known but may not do this.
	ErrForbidden = errors.New("forbidden")

	// ErrRateLimited says that the caller has sent too many requests; nothing was
	// started. A RateLimited says when to retry.
	ErrRateLimited = errors.New("rate limited")

	// ErrOverloaded says that every worker is busy and the queue is full.
	// Nothing was started; the same call may succeed a moment later.
	ErrOverloaded = errors.New("overloaded")

	// ErrUnavailable says that a backend cannot be reached or cannot answer
	// now. For a write, whether it took effect is unknown.
	ErrUnavailable = errors.New("backend unavailable")

	// ErrNotReady says, beside ErrUnavailable, that a backend answers but is still preparing
	// for the work that it is meant for. Nothing is wrong with it.
	ErrNotReady = errors.New("not ready yet")

	// ErrSpaceMismatch says that a store holds vectors of another embedding
	// space than the one it was opened with.
	ErrSpaceMismatch = errors.New("embedding space mismatch")
)

// Refusal is an error whose reasons may be shown to the caller unchanged: each is a
// short sentence without internals that says what is wrong with the input. It unwraps to
// its Kind, one of the sentinels above.
type Refusal struct {
	Kind    error
	Reasons []string
}

// Refuse builds a Refusal of the given kind. At least one reason is expected.
func Refuse(kind error, reasons ...string) error {
	return &Refusal{Kind: kind, Reasons: reasons}
}

// Error joins the kind and the reasons into one line.
func (r *Refusal) Error() string {
	return r.Kind.Error() + ": " + strings.Join(r.Reasons, "; ")
}

// Unwrap returns the sentinel that classifies the refusal.
func (r *Refusal) Unwrap() error { return r.Kind }

// RateLimited is an ErrRateLimited that says how long to wait before the next
// call can succeed.
type RateLimited struct {
	// After is above zero.
	After time.Duration
}

// Error says how long to wait.
func (r *RateLimited) Error() string {
	return ErrRateLimited.Error() + ": retry after " + r.After.String()
}

// Unwrap returns ErrRateLimited.
func (r *RateLimited) Unwrap() error { return ErrRateLimited }

// Classify returns an error of a backend as a port may return it: an error around one of
// the sentinels is unchanged, any other is wrapped in the error of the context if that
// has ended, and in ErrUnavailable if not.
func Classify(ctx context.Context, err error) error {
	for _, kind := range []error{
		ErrInvalid, ErrTooLarge, ErrExists, ErrNotFound, ErrOnlyFace, ErrResembles, ErrUnauthorized, ErrForbidden, ErrRateLimited, ErrOverloaded, ErrUnavailable, ErrSpaceMismatch,
	} {
		if errors.Is(err, kind) {
			return err
		}
	}
	if end := Ended(ctx); errors.Is(err, end) {
		return err
	} else if end != nil {
		return fmt.Errorf("%w (%v)", end, err)
	}
	return Unavailable(err)
}

// Unavailable wraps an error in ErrUnavailable. A backend's own time limit must not look
// like the end of the caller's context, so of a context's error only the text is kept.
func Unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Ended returns the error of a context that has ended, nil for one that has not. A
// context whose deadline has passed counts as ended, even if its timer has not fired.
func Ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}
