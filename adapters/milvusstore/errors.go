package milvusstore

import (
	"errors"
	"fmt"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"imago/ports"
)

var (
	// errBusy ends a write that has waited too long for others.
	errBusy = fmt.Errorf("%w: timed out waiting for concurrent writes of the same user", ports.ErrUnavailable)
	// errForeignRow says that somebody else writes to the collection too.
	errForeignRow = errors.New("a row not written by imago")
)

// rejected reports whether the server has turned the credentials down, which no
// further attempt will change.
func rejected(err error) bool {
	code := status.Code(err)
	return code == codes.Unauthenticated || code == codes.PermissionDenied
}

// serverError is what a server answered instead of a result.
type serverError struct {
	code   int32
	reason string
}

// Error leaves out every literal of an expression: it may be somebody's ID.
func (a *serverError) Error() string {
	return fmt.Sprintf("the server answers with code %d: %s", a.code, literal.ReplaceAllString(a.reason, `"…"`))
}

// literal matches a quoted string.
var literal = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)
