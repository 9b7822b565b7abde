package ports

import (
	"slices"
	"time"
)

// Operation is something a client may be allowed to do.
type Operation string

// The operations that a key's scope can name.
const (
	OpEnrol   Operation = "enrol"
	OpSearch  Operation = "search"
	OpUnenrol Operation = "unenrol"
	OpRead    Operation = "read"
)

// Operations lists every Operation.
func Operations() []Operation { return []Operation{OpEnrol, OpSearch, OpUnenrol, OpRead} }

// Purpose is the purpose of a request. A token may be bound to one.
type Purpose struct {
	Operation Operation
	// Collection is empty where the request is about none.
	Collection string
}

// Client is an authenticated caller. Its name is the owner of what it enrols.
type Client struct {
	Name string
	// Collections the client may use; empty means all.
	Collections []string
	// Operations the client may perform; empty means all.
	Operations []Operation
	// MinThreshold is the lowest threshold, in percent, that the client may search with.
	MinThreshold float64
	// Expires is when the key stops being valid; zero means never.
	Expires time.Time
}

// May reports whether the client may perform op on a collection. It does not consider
// the expiry, which is checked when the client is authenticated.
func (c Client) May(op Operation, collection string) bool {
	return c.MayAnywhere(op) &&
		(len(c.Collections) == 0 || slices.Contains(c.Collections, collection))
}

// MayAnywhere reports whether the client may perform op on at least one collection.
func (c Client) MayAnywhere(op Operation) bool {
	return len(c.Operations) == 0 || slices.Contains(c.Operations, op)
}
