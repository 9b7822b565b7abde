package milvusstore

import (
	"context"

	"imago/ports"
)

// The partitions of the Milvus collection. Searches look at faces only, so that
// claims, which come and go with every write, never stand in their way; one read
// of both sees both as they were at one moment.
const (
	facesPartition  = "faces"
	claimsPartition = "claims"
)

// maxRead is the most rows that Milvus returns of one read or search.
const maxRead = 16384

// table is what the driver needs of Milvus. Every read is strongly consistent: it
// sees all that was acknowledged to anybody before it began, and the state of
// one moment. Errors are the client's own.
type table interface {
	// insert adds rows whose IDs are new, all at the same moment.
	insert(ctx context.Context, partition string, rows ...row) error
	// remove deletes rows of any partition, all at the same moment.
	remove(ctx context.Context, ids []string) error
	// read returns the first rows of a range, ordered by ID bytewise.
	read(ctx context.Context, r idRange, limit int) ([]row, error)
	// users returns all rows of some users, claims too and without vectors, ordered by
	// ID bytewise; of several users maxRead rows at most.
	users(ctx context.Context, keys ...key) ([]row, error)
	// countUsers counts the rows of a collection that stand for their user.
	countUsers(ctx context.Context, collection string) (int, error)
	// nearest returns the faces of a collection that Milvus finds nearest to a
	// vector, in any order, and all when there are fewer than limit.
	nearest(ctx context.Context, collection string, vector []float32, limit int) ([]row, error)
	// check returns why the table cannot serve now, nil when it can.
	check(ctx context.Context) error
	// chipsOf returns the chips of rows that a read has returned, of those that are still
	// there: nil where there is none.
	chipsOf(ctx context.Context, ids []string) (map[string][]byte, error)
	// keepsExpiry reports whether rows can have an expiry.
	keepsExpiry() bool
	// keepsChips reports whether rows can have a chip.
	keepsChips() bool
	// close disconnects.
	close() error
}

// idRange is the rows of some partitions whose IDs are at least from and less than
// to, which has no end when empty; with an owner only that one's.
type idRange struct {
	partitions []string
	from, to   string
	owner      string
	expired    ports.Cutoff // unless it is zero, only rows that alone would make their user expired
	expiries   bool         // rows have expiries; set by the table
	fields     fields
	chips      bool // the chips are wanted, too
}

// fields says which fields of a row are wanted.
type fields int

const (
	idFields      fields = iota // ID and generation
	withoutVector               // all but the vector
	allFields                   // but the chip
)
