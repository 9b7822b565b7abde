package milvusstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"imago/ports"
)

var (
	// errNotOpen is what every call answers before Start.
	errNotOpen = fmt.Errorf("%w: the store is not open", ports.ErrUnavailable)
	// errClosed is what every call answers after Close.
	errClosed = fmt.Errorf("%w: the store is closed", ports.ErrUnavailable)
	// errBusy ends a write that has waited too long for others.
	errBusy = fmt.Errorf("%w: other changes of the same user have not come to an end", ports.ErrUnavailable)
	// errForeign says that somebody else writes to the collection too.
	errForeign = errors.New("a row that imago has not written")
)

// during puts the call in front of its error and classifies it.
func during(ctx context.Context, call string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("milvusstore: %s: %w", call, classify(ctx, err))
}

// classify turns what a call met with into a sentinel of ports or, when the
// context of the call has ended, the context's error. All that Milvus itself
// answers with is ports.ErrUnavailable: input has been checked before, so that
// whatever it complains about (a proxy that is not ready, a collection that is
// not loaded yet, a quota) is not the caller's fault.
func classify(ctx context.Context, err error) error {
	for _, kind := range []error{
		ports.ErrInvalid, ports.ErrExists, ports.ErrNotFound, ports.ErrForbidden, ports.ErrUnavailable, ports.ErrSpaceMismatch,
	} {
		if errors.Is(err, kind) {
			return err
		}
	}
	if end := ports.Ended(ctx); end != nil {
		return end
	}
	return ports.Unavailable(err)
}

// rejected reports whether the server has turned the credentials down, which no
// further attempt will change.
func rejected(err error) bool {
	code := status.Code(err)
	return code == codes.Unauthenticated || code == codes.PermissionDenied
}

// answer is what a server answered instead of a result.
type answer struct {
	code   int32
	reason string
}

// Error leaves out every literal of an expression: it may be somebody's ID.
func (a *answer) Error() string {
	return fmt.Sprintf("the server answers with code %d: %s", a.code, literal.ReplaceAllString(a.reason, `"…"`))
}

// literal matches a quoted string.
var literal = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)
