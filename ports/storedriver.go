package ports

import (
	"context"
	"iter"
)

// StoreDriver is the part of a vector store that knows a technology. core/vectorstore
// makes a VectorStore of it, in the same way for all, so that a driver is small.
//
// What a driver may rely on:
//   - Open comes first and, once it has succeeded, not again. Close comes last and once.
//     All other calls begin after Open has succeeded and have returned before Close
//     begins, scans included: a driver has no state open or closed to keep.
//   - Arguments are valid, as VectorStore says; modes and owners are not the zero value.
//   - The context of a call has not ended when the call begins, and a scan is stopped
//     between two records when its context ends or the store is closed.
//   - Users who have expired are hidden by core/vectorstore: Get, Search, Scan and Count
//     treat them like all others, and Remove is not asked about them. Add has them out of
//     the way as its mode's Cutoff says. To fill its answer core/vectorstore may ask for
//     more users than a VectorStore may be asked for.
//   - The vector and the chip of a record to be added are the driver's to keep. That of a query is the
//     caller's again when Search returns.
//   - Errors are prefixed with the store and the call and go through Classify: a driver
//     returns what it met with, wrapped in a sentinel where it knows one.
//
// What it owes is all the rest of VectorStore: what each call does and answers, safety
// for concurrent use, results that share no memory with anything it keeps, and returning
// soon after a context has ended. The suites in test/contract check that.
type StoreDriver interface {
	VectorStore

	// Expired yields the IDs of the users of a collection who have expired, each once, in
	// any order and in constant memory. It is quick where there are few of them, as far as
	// the backend has an index for it.
	Expired(ctx context.Context, collection string, c Cutoff) iter.Seq2[string, error]

	// Expire removes a user who has expired, as Remove does, or answers ErrNotFound; the
	// check and the removal are one step. A backend with a clock believes neither
	// that nor the cutoff alone: it removes whom both expire.
	Expire(ctx context.Context, user UserKey, c Cutoff) error

	// Open connects and sets up what is missing; ctx bounds that time only. When it
	// fails it leaves nothing behind, so that it can be tried again. Its error tells an
	// operator what to do and is not classified further: it is around ErrUnavailable
	// where the same attempt may succeed later (Classify helps), and around
	// ErrSpaceMismatch where the store is of another embedding space.
	Open(ctx context.Context) error

	// Check returns why the driver cannot serve now, nil when it can; see HealthChecker.
	Check(ctx context.Context) error

	// Close ends what runs in the background and releases everything. It may take its
	// time.
	Close() error
}
