package milvusstore

import "context"

// The partitions of the Milvus collection. Searches look at faces only, so that
// claims, which come and go with every write, never stand in their way; one read
// of both sees both as they were at one moment.
const (
	facesPartition  = "faces"
	claimsPartition = "claims"
)

// maxRead is the most rows that Milvus returns of one read or search.
const maxRead = 16384

// table is what the store needs of Milvus. Every read is strongly consistent: it
// sees all that was acknowledged to anybody before it began, and the state of
// one moment. Errors are the client's own.
type table interface {
	// insert adds rows whose IDs are new, all at the same moment.
	insert(ctx context.Context, partition string, rows ...row) error
	// remove deletes rows of any partition, all at the same moment.
	remove(ctx context.Context, ids []string) error
	// read returns the first rows of a span, ordered by ID bytewise.
	read(ctx context.Context, s span, limit int) ([]row, error)
	// users returns all rows of some users, claims too and with owners, ordered by
	// ID bytewise; of several users maxRead rows at most.
	users(ctx context.Context, keys ...key) ([]row, error)
	// heads counts the rows of a collection that stand for their user.
	heads(ctx context.Context, collection string) (int, error)
	// nearest returns the faces of a collection that Milvus finds nearest to a
	// vector, in any order, and all when there are fewer than limit.
	nearest(ctx context.Context, collection string, vector []float32, limit int) ([]row, error)
	// check returns why the table cannot serve now, nil when it can.
	check(ctx context.Context) error
	// close disconnects.
	close() error
}

// span is the rows of some partitions whose IDs are at least from and less than
// to, which has no end when empty; with an owner only that one's.
type span struct {
	partitions []string
	from, to   string
	owner      string
	wanted     detail
}

// detail says which fields of a row are wanted.
type detail int

const (
	places    detail = iota // ID and generation
	faceNames               // all but the vector
	faces                   // all
)
