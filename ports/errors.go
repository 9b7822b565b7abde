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
// so that errors.Is answers what happened and the log still says why. Callers
// compare with errors.Is only. A cancelled context stays visible as
// context.Canceled or context.DeadlineExceeded and is never wrapped in one of
// these.
var (
	// ErrInvalid says that the input cannot be accepted as it is: sending it
	// again unchanged cannot succeed.
	ErrInvalid = errors.New("invalid input")

	// ErrTooLarge says that the input exceeds a configured size limit.
	ErrTooLarge = errors.New("input too large")

	// ErrExists says that the thing to be created is there already.
	ErrExists = errors.New("already exists")

	// ErrNotFound says that the thing named is not there.
	ErrNotFound = errors.New("not found")

	// ErrUnauthorized says that the caller presented no valid key.
	ErrUnauthorized = errors.New("unauthorized")

	// ErrForbidden says that the caller is known but may not do this.
	ErrForbidden = errors.New("forbidden")

	// ErrRateLimited says that the caller has asked too often; nothing was
	// started. A RateLimited says when to come back.
	ErrRateLimited = errors.New("rate limited")

	// ErrOverloaded says that every worker is busy and the queue is full;
	// nothing was started and the same call may succeed a moment later.
	ErrOverloaded = errors.New("overloaded")

	// ErrUnavailable says that a backend cannot be reached or cannot answer
	// now. For a write, whether it took effect is unknown.
	ErrUnavailable = errors.New("backend unavailable")

	// ErrSpaceMismatch says that a store holds vectors of another embedding
	// space than the one it was opened with.
	ErrSpaceMismatch = errors.New("embedding space mismatch")
)

// Refusal is an error whose reasons may be shown to the caller word for word:
// each is a short sentence without internals that says what is wrong with the
// input. It unwraps to its Kind, one of the sentinels above.
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
	return ErrRateLimited.Error() + ": come back in " + r.After.String()
}

// Unwrap returns ErrRateLimited.
func (r *RateLimited) Unwrap() error { return ErrRateLimited }

// Unavailable wraps an error that is not the caller's fault in ErrUnavailable. A time
// limit of a backend's own must not look like the end of the caller's context, so only
// the text is kept of an error that would.
func Unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Ended returns the error of a context that has ended, nil for one that has not. What
// waits under a context may notice its deadline a moment before the context does.
func Ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}
