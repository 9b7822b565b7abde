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
	// ExpiresAt is from when on no call returns the user any more, kept like EnrolledAt;
	// zero means never. It is the same for all faces of a user; see FurtherFace.
	ExpiresAt time.Time
	// Chip is the encrypted chip of the face, at most MaxChipBytes, which no store looks
	// into; nil for none. It is stored with the face and erased with it. Only a Scan with
	// WithChips returns it.
	Chip []byte
}

// MaxChipBytes is the size of the largest encrypted chip: that of the pixels of a Chip, and
// room for what an encoding and a cipher add.
const MaxChipBytes = 40 << 10

// User returns the user whose face it is.
func (r Record) User() UserKey { return UserKey{r.Collection, r.UserID} }

// UserKey names a user of a collection.
type UserKey struct{ Collection, UserID string }

// Mode says what Add does about the faces that the user already has. NewUser,
// FurtherFace and Replacement make one; the zero value is none and refused.
type Mode struct {
	kind   ModeKind
	owners Owners
	cutoff Cutoff
	unlike *float64
}

// ModeKind is what a store switches on.
type ModeKind int

// The kinds of the modes that NewUser, FurtherFace and Replacement return.
const (
	KindNewUser ModeKind = iota + 1
	KindFurtherFace
	KindReplacement
)

// NewUser adds the first face of a new user: ErrExists when the user has any face
// in the collection.
func NewUser() Mode { return Mode{kind: KindNewUser, owners: Everybody()} }

// FurtherFace adds one more face to an existing user: ErrNotFound when the user has
// none, ErrForbidden when any of them has an owner that is not included, ErrExists
// when the user has a face of that FaceID. An ExpiresAt of the face becomes that of all
// faces of the user, in one step; without one the face gets that of the others.
func FurtherFace(owners Owners) Mode { return Mode{kind: KindFurtherFace, owners: owners} }

// Replacement makes the face the only one of an existing user, in one step: every
// search sees either the old faces or the new one. ErrNotFound when the user has
// no face, ErrForbidden when any has an owner that is not included.
func Replacement(owners Owners) Mode { return Mode{kind: KindReplacement, owners: owners} }

// Kind returns which of the three a mode is, 0 for the zero value.
func (m Mode) Kind() ModeKind { return m.kind }

// Owners returns the condition on the faces that the user already has.
func (m Mode) Owners() Owners { return m.owners }

// Unlike returns the mode with one more condition: no other user of the collection has a face
// that scores at least score with the new one, or Add answers a Resemblance. The check and the
// change are one step: of any number of concurrent calls with faces that resemble each other
// at most one succeeds. A store documents how far it can promise that across instances, and
// what such a call costs.
func (m Mode) Unlike(score float64) Mode {
	m.unlike = &score
	return m
}

// UnlikeScore returns the score of Unlike; there is none without that condition.
func (m Mode) UnlikeScore() (score float64, set bool) {
	if m.unlike == nil {
		return 0, false
	}
	return *m.unlike, true
}

// Regardless returns the mode for a store in which a user who has expired counts as one who
// is not there, and makes room for a new one, in one step. core/vectorstore asks drivers so.
func (m Mode) Regardless(c Cutoff) Mode {
	m.cutoff = c
	return m
}

// Cutoff returns which users count as not there; nobody for the zero value.
func (m Mode) Cutoff() Cutoff { return m.cutoff }

// Removal says what Remove deletes. WholeUser and OneFace make one; the zero value names
// nobody and is refused.
type Removal struct {
	user    UserKey
	faceID  string
	oneFace bool
}

// WholeUser is the removal of a user with all faces.
func WholeUser(user UserKey) Removal { return Removal{user: user} }

// OneFace is the removal of one face of a user who has others.
func OneFace(user UserKey, faceID string) Removal { return Removal{user, faceID, true} }

// User returns whose faces are removed.
func (r Removal) User() UserKey { return r.user }

// Face returns the ID of the one face that is removed; there is none where the whole user
// is.
func (r Removal) Face() (id string, one bool) { return r.faceID, r.oneFace }

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
	// EnrolledAt and ExpiresAt are those of the face.
	EnrolledAt, ExpiresAt time.Time
	// Score is the cosine similarity, -1 to 1, higher is closer.
	Score float64
}

// Owners says whose faces a call may read or change. Everybody and OwnedBy make one; the
// zero value is refused, so that forgetting it never means everybody.
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
	// WithChips has records come with their chips, which are ten to a hundred times as large
	// as the vectors.
	WithChips bool
}

// Everything selects all records of a collection from a user on.
func Everything(collection, from string) Selection {
	return Selection{Collection: collection, From: from, Owners: Everybody()}
}

// VectorStore keeps enrolled faces and finds the nearest. It is safe for concurrent use
// by any number of goroutines. core/vectorstore makes one of a StoreDriver.
//
// There is one score convention: cosine similarity of unit vectors, higher is
// closer. IDs are valid UTF-8 of 1 to 256 bytes without control characters (quotes,
// backslashes and percent signs are data); collection names are 1 to 64 characters of
// a-z, 0-9, '-' and '_'; vectors have the dimension of the store's space, are finite and
// of length 1; K is 1 to 1000. A store given anything else answers ErrInvalid and
// changes nothing; it never panics.
//
// What every store promises:
//   - Read your writes: what a call has acknowledged, every later call on any
//     imago instance over the same backend sees, without waiting.
//   - A user who has expired is as good as removed: no call returns or counts the user from
//     that moment on, all but NewUser answer ErrNotFound, and NewUser takes the place.
//   - Acknowledged means durable wherever the backend has a disk.
//   - A store that has no place for chips answers ErrInvalid to a record with one, and stores
//     nothing of it.
//   - The store neither keeps nor hands out memory that the caller can change:
//     vectors are copied on the way in and on the way out.
//   - ErrUnavailable when the backend cannot answer: for Add and Remove the
//     outcome is then unknown. The context's error when it ends first; a write
//     that had started may then still take effect.
type VectorStore interface {
	// Add stores one face as mode says. Of any number of concurrent calls with
	// NewUser for one user exactly one succeeds, the others answer ErrExists (a
	// backend without unique keys documents how far it can promise this across
	// instances). Where a mode has a condition on owners, the check and the change
	// are one step.
	Add(ctx context.Context, r Record, mode Mode) error

	// Remove deletes all faces of a user, or the one that the removal names. Once it
	// has returned, no call anywhere returns what was removed. It changes nothing and
	// answers ErrNotFound when there is no such user; ErrForbidden when any face of the
	// user has an owner that is not included; ErrNotFound when the user has no such
	// face; ErrOnlyFace when the user has no other. The checks, in that order, and the
	// removal are one step: of concurrent calls that remove one face each, at least one
	// face is left.
	Remove(ctx context.Context, removal Removal, owners Owners) error

	// Get returns the faces of one user ordered by FaceID (bytewise), or
	// ErrNotFound.
	Get(ctx context.Context, user UserKey) ([]Record, error)

	// Search returns at most q.K users whose best face scores at least
	// q.MinScore, one Match each, sorted by score descending, then by UserID
	// bytewise ascending. Unless a store is configured to be approximate, it is
	// exact: no enrolled user above the minimum is missed unless K closer ones
	// were returned. An empty or unknown collection gives no matches.
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
