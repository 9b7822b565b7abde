package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"

	"imago/ports"
)

var (
	// errNotOpen is what every call answers before Start.
	errNotOpen = fmt.Errorf("%w: the store is not open", ports.ErrUnavailable)
	// errClosed is what every call answers after Close.
	errClosed = fmt.Errorf("%w: the store is closed", ports.ErrUnavailable)
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

	classDataException = "22"
)

// during puts the call in front of its error and classifies it.
func during(ctx context.Context, call string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pgstore: %s: %w", call, classify(ctx, err))
}

// classify turns what a call met with into a sentinel of ports or, when the
// context of the call has ended, the context's error. What the server itself
// has answered counts more than an end that came about at the same moment.
func classify(ctx context.Context, err error) error {
	for _, kind := range []error{
		ports.ErrInvalid, ports.ErrExists, ports.ErrNotFound, ports.ErrForbidden, ports.ErrUnavailable, ports.ErrSpaceMismatch,
	} {
		if errors.Is(err, kind) {
			return err
		}
	}
	code := sqlState(err)
	if end := ports.Ended(ctx); end != nil && (code == "" || code == queryCanceled) {
		if errors.Is(err, end) {
			return err
		}
		return fmt.Errorf("%w (%v)", end, err)
	}
	switch {
	case code == uniqueViolation:
		return fmt.Errorf("%w: %w", ports.ErrExists, err)
	case code == foreignKeyViolation:
		return fmt.Errorf("%w: %w", ports.ErrNotFound, err)
	case len(code) == 5 && code[:2] == classDataException:
		return fmt.Errorf("%w: %w", ports.ErrInvalid, err)
	}
	return ports.Unavailable(err)
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

// attempts bounds how often a transaction is tried.
const attempts = 3

// retry runs a transaction again that the server has undone because it got in
// the way of others. Nothing else is safe to run again: after any other failure
// the transaction may have been committed.
func retry(ctx context.Context, transaction func() error) error {
	for attempt := 1; ; attempt++ {
		err := transaction()
		code := sqlState(err)
		undone := code == serializationFailure || code == deadlockDetected
		if !undone || attempt == attempts || ctx.Err() != nil {
			return err
		}
	}
}

// badDSN reports a connection string that cannot be used. The library's own
// error is left out, since it may quote the password; what can be said is which
// file (a certificate, say) could not be read.
func badDSN(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		return fmt.Errorf("%w: store.pgvector.dsn names a file that cannot be read: %w", ports.ErrInvalid, file)
	}
	return fmt.Errorf("%w: store.pgvector.dsn is neither a URL like postgres://user@host:5432/database "+
		"(special characters of a password are percent-encoded) nor a string like host=localhost user=imago", ports.ErrInvalid)
}
