package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"imago/ports"
)

// The SQLSTATE codes that are told apart, and the classes, their first two
// characters: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	uniqueViolation       = "23505"
	foreignKeyViolation   = "23503"
	queryCanceled         = "57014"
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	insufficientPrivilege = "42501"
	invalidSchemaName     = "3F000"
	readOnlyTransaction   = "25006"
	tooManyConnections    = "53300"

	classDataException = "22"
)

// mapError wraps what the server has answered in a sentinel of ports. What it has
// answered counts more than the end of a context that came about at the same moment.
func mapError(err error) error {
	err = readable(err)
	code := sqlState(err)
	switch {
	case code == "" || code == queryCanceled:
		return err
	case code == uniqueViolation:
		return fmt.Errorf("%w: %w", ports.ErrExists, err)
	case code == foreignKeyViolation:
		return fmt.Errorf("%w: %w", ports.ErrNotFound, err)
	case strings.HasPrefix(code, classDataException):
		return fmt.Errorf("%w: %w", ports.ErrInvalid, err)
	}
	return ports.Unavailable(err)
}

// connectError is a failure to connect in other words.
type connectError struct {
	error
	text string
}

func (e connectError) Error() string { return e.text }
func (e connectError) Unwrap() error { return e.error }

// readable puts what an operator must know in front of an error. Of a failure to connect
// it leaves out what says only that another way was tried then (without TLS, where
// sslmode lets it), and what is said twice.
func readable(err error) error {
	switch sqlState(err) {
	case readOnlyTransaction:
		return fmt.Errorf("%w: %w", errReadOnly, err)
	case tooManyConnections:
		err = fmt.Errorf("the server has no connection left (raise its max_connections or the role's limit, or lower store.pgvector.max_conns): %w", err)
	}
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return err
	}
	var causes []string
	for _, cause := range strings.Split(failed.Unwrap().Error(), "\n") {
		cause = strings.Replace(cause, "ValidateConnect failed: ", "", 1)
		if !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
	}
	if len(causes) > 1 {
		causes = slices.DeleteFunc(causes, func(cause string) bool { return strings.HasSuffix(cause, "server refused TLS connection") })
	}
	return connectError{err, strings.Replace(err.Error(), failed.Error(), "cannot connect to "+strings.Join(causes, "; "), 1)}
}

// sqlState returns the code of an error that the server has answered with, ""
// for any other.
func sqlState(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// undone reports whether the server has answered with an error that has undone the
// transaction. One that ends the connection says no such thing: a pooler answers with it
// when the server has gone away while it committed.
func undone(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && cmp.Or(answer.SeverityUnlocalized, answer.Severity) == "ERROR"
}

// maxAttempts bounds how often a transaction is tried.
const maxAttempts = 3

// retry runs a transaction, and again when the server has undone it because it got in
// the way of others. Nothing else is safe to run again: after any other failure
// the transaction may have been committed.
func retry(ctx context.Context, transaction func() error) error {
	for attempt := 1; ; attempt++ {
		err := transaction()
		code := sqlState(err)
		retryable := code == serializationFailure || code == deadlockDetected
		if !retryable || attempt == maxAttempts || ctx.Err() != nil {
			return mapError(err)
		}
	}
}

// dsnError reports a connection string that cannot be used. The library's own
// error is left out, since it may quote the password; what can be said is which
// file (a certificate, say) could not be read.
func dsnError(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		return fmt.Errorf("%w: store.pgvector.dsn names a file that cannot be read: %w", ports.ErrInvalid, file)
	}
	return fmt.Errorf("%w: store.pgvector.dsn is neither a URL like postgres://user@host:5432/database "+
		"(special characters of a password are percent-encoded) nor a string like host=localhost user=imago", ports.ErrInvalid)
}
