package ports

import (
	"context"
	"iter"
	"time"
)

// Record is one enrolled face. (Collection, UserID, FaceID) names it; a user
// has one or more faces in a collection.
type Record struct {
	Collection string
	UserID     string
	FaceID     string
	Vector     []float32
	// Owner names the client that enrolled the face.
	Owner string
	// EnrolledAt is kept to the microsecond, in UTC.
	EnrolledAt time.Time
}

// Mode says what Add does about the faces that the user already has.
type Mode int

const (
	// First adds the first face of a new user: ErrExists when the user has any
	// face in the collection.
	First Mode = iota + 1
	// Further adds one more face to an existing user: ErrNotFound when the
	// user has none, ErrExists when the user has a face of that FaceID.
	Further
	// Replacement makes the face the only one of an existing user, in one
	// step: no search sees both the old and the new or neither. ErrNotFound
	// when the user has none.
	Replacement

	// IfOwner is added to Further or Replacement (Replacement|IfOwner) to make
	// it conditional: ErrForbidden when any face of the user has another owner
	// than the record. The look at the owners and the change are one step.
	IfOwner Mode = 1 << 4
)

// Base returns the mode without IfOwner.
func (m Mode) Base() Mode { return m &^ IfOwner }

// IfOwner reports whether the mode has the condition of that name.
func (m Mode) IfOwner() bool { return m&IfOwner != 0 }

// Query asks for the users of a collection nearest to a vector.
type Query struct {
	Collection string
	Vector     []float32
	// K is the largest number of users wanted, at least 1.
	K int
	// MinScore is the smallest score wanted, inclusive, -1 to 1.
	MinScore float64
}

// Match is one user found: the best of the user's faces.
type Match struct {
	UserID string
	FaceID string
	Owner  string
	// Score is the cosine similarity, -1 to 1, higher is closer.
	Score float64
}

// Owners says whose faces a call is about. The zero value is nobody's and refused, so
// that forgetting it never means everybody.
type Owners struct {
	everybody bool
	name      string
}

// Everybody is whoever enrolled a face.
func Everybody() Owners { return Owners{everybody: true} }

// OwnedBy is the one client of that name.
func OwnedBy(name string) Owners { return Owners{name: name} }

// Only returns the name of the one owner; there is none where everybody is meant.
func (o Owners) Only() (name string, one bool) { return o.name, !o.everybody }

// Include reports whether a face of that owner is meant.
func (o Owners) Include(owner string) bool { return o.everybody || o.name == owner }

// Selection says which records of a collection a scan yields.
type Selection struct {
	Collection string
	// From is the ID of the first user, or any text before it; "" for all.
	From string
	// Owners leaves out the faces of all others.
	Owners Owners
	// WithoutVectors has records come without their vectors, which is much cheaper
	// where they come over a network.
	WithoutVectors bool
}

// Everything selects all records of a collection from a user on.
func Everything(collection, from string) Selection {
	return Selection{Collection: collection, From: from, Owners: Everybody()}
}

// VectorStore keeps enrolled faces and finds the nearest. Implementations are
// safe for concurrent use by any number of goroutines.
//
// There is one score convention: cosine similarity of unit vectors, higher is
// closer. The core guarantees, once for all stores: IDs are valid UTF-8 of 1
// to 256 bytes without control characters (quotes, backslashes and percent
// signs are data); collection names are 1 to 64 characters of a-z, 0-9, '-'
// and '_'; vectors have the dimension of the store's space, are finite and of
// length 1; K is 1 to 1000. A store given anything else answers ErrInvalid
// and changes nothing; it never panics.
//
// What every store promises:
//   - Read your writes: what a call has acknowledged, every later call on any
//     imago instance over the same backend sees, without waiting.
//   - Acknowledged means durable wherever the backend has a disk.
//   - The store neither keeps nor hands out memory that the caller can change:
//     vectors are copied on the way in and on the way out.
//   - ErrUnavailable when the backend cannot answer: for Add and Remove the
//     outcome is then unknown. The context's error when it ends first; a write
//     that had started may then still take effect.
type VectorStore interface {
	// Add stores one face as mode says. Of any number of concurrent calls with
	// mode First for one user exactly one succeeds, the others answer
	// ErrExists (a backend without unique keys documents how far it can
	// promise this across instances).
	Add(ctx context.Context, r Record, mode Mode) error

	// Remove deletes all faces of a user, or answers ErrNotFound. Once it has
	// returned, no call anywhere returns the user. With an owner (one that a
	// record may have) it answers ErrForbidden, and changes nothing, when any
	// face of the user has another one; the look at the owners and the removal
	// are one step. With the empty owner it removes whosever faces they are.
	Remove(ctx context.Context, collection, userID, owner string) error

	// Get returns the faces of one user ordered by FaceID (bytewise), or
	// ErrNotFound.
	Get(ctx context.Context, collection, userID string) ([]Record, error)

	// Search returns at most q.K users whose best face scores at least
	// q.MinScore, one Match each, sorted by score descending, then by UserID
	// bytewise ascending. It is exact: no enrolled user above the minimum is
	// missed unless K closer ones were returned. An empty or unknown
	// collection gives no matches.
	Search(ctx context.Context, q Query) ([]Match, error)

	// Scan yields the records of a collection that a selection names, ordered by
	// UserID, then FaceID (both bytewise), starting with the first user whose ID is
	// not less than From. It takes constant memory. Records written or removed
	// during the scan may or may not appear; all others appear exactly once.
	// An error ends the sequence and is yielded with a zero Record.
	//
	// A client is shown pages of its own users: with one owner, how long a scan
	// takes to its first record must not grow with the records of others, as far as
	// the backend has an index for it.
	Scan(ctx context.Context, s Selection) iter.Seq2[Record, error]

	// Count returns the number of users in a collection, 0 for an unknown one.
	Count(ctx context.Context, collection string) (int, error)
}

// HealthChecker is implemented by an adapter that can be unable to serve.
type HealthChecker interface {
	// CheckHealth returns nil when the adapter can serve now, and otherwise
	// what is wrong. It answers within the context's deadline.
	CheckHealth(ctx context.Context) error
}
