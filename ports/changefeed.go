package ports

import "context"

// Position is a place in the history of a backend's faces: what a copy is at that has seen
// all commits up to there. Two positions are the same moment of the same history when they
// are equal. The zero value is before everything.
type Position struct {
	// Number counts the commits that changed faces.
	Number int64
	// Token tells histories apart, such as those before and after a restore.
	Token string
}

// Delta is what brings a copy of all faces from one position to a later one.
type Delta struct {
	// To is where the copy is when the rest has been applied.
	To Position
	// Unknown says that the way from the copy's position is not known: its history is not
	// that of the backend, the log does not reach back so far, the way is too long, or
	// everything was removed. The copy must be made again; there are no users then.
	Unknown bool
	// Users are those whose faces may have changed, each once.
	Users []UserKey
	// Faces are all that these users have at To.
	Faces []Record
}

// ChangeFeed is implemented by a StoreDriver whose backend can prove whether a copy of its
// faces is behind. What the methods answer is true of a moment between their call and
// their return. It is safe for concurrent use. Errors are those of StoreDriver; a
// backend that cannot vouch for the log answers ErrUnavailable.
type ChangeFeed interface {
	// Head returns the position of the last commit. It must be cheap: a search asks.
	Head(ctx context.Context) (Position, error)

	// Since returns what has changed since a position. More than limit faces are a way
	// that is too long.
	Since(ctx context.Context, from Position, limit int) (Delta, error)

	// Snapshot calls add with every face of one moment, in any order, and returns the
	// position of that moment. The vector is only valid during the call. An error of add
	// ends it and is returned.
	Snapshot(ctx context.Context, add func(Record) error) (Position, error)
}
