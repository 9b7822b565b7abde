package ports

import "time"

// AuditEntry is an operation on the gallery as the audit log tells it.
type AuditEntry struct {
	// Time is when the request arrived.
	Time time.Time
	// Phase is AuditIntent or AuditOutcome.
	Phase string
	// RequestID is the x-request-id; TraceID may be empty.
	RequestID, TraceID string
	// Client is the name of the key, empty where no valid one was presented. Address
	// is that of the client, not of a proxy that is trusted; it is "unix" for a
	// socket.
	Client, Address string
	// Operation is enrol, replace, add_face, search, unenrol, read, list, detect,
	// collections or calibration, or a command that works on the gallery.
	Operation string
	// Collection and UserID are what it was asked about, as the client wrote it: they
	// may name nothing that exists. Where it asks about no collection it is empty.
	Collection, UserID string
	// Status is the HTTP status of an outcome, Reasons are the codes of what
	// was wrong.
	Status  int
	Reasons []string
	// Threshold and Limit are those of a search.
	Threshold float64
	Limit     int
	// Faces is how many faces were stored, shown or detected.
	Faces int
	// Matches are what the answer to a search says.
	Matches []Candidate
	// Duration is the time from the request's arrival to the entry.
	Duration time.Duration
}

// The phases of an AuditEntry.
const (
	AuditIntent  = "intent"  // a change that is about to be made
	AuditOutcome = "outcome" // an operation that is done or refused
)
