package ports

import "time"

// AuditEntry is a line of the audit log: an operation on the gallery.
type AuditEntry struct {
	// Time is when the request arrived.
	Time time.Time
	// Phase is AuditIntent or AuditOutcome.
	Phase string
	// RequestID is the x-request-id; TraceID may be empty.
	RequestID, TraceID string
	// Client is the name of the key, empty where no valid one was presented. Address
	// is that of the client, not of a trusted proxy; it is "unix" for a Unix socket.
	Client, Address string
	// Operation is enrol, replace, add_face, search, search_faces, verify, unenrol, remove_face,
	// read, list, detect, collections or calibration, expire (imago erased a user by itself), or
	// a command that works on the gallery.
	Operation string
	// Collection and UserID are as the client wrote them: they may name nothing that
	// exists. Collection is empty for an operation on no collection.
	Collection, UserID string
	// FaceID is the face that is removed, as the client wrote it.
	FaceID string
	// Status is the HTTP status of an outcome, Reasons are the codes of the reasons
	// against the request.
	Status  int
	Reasons []string
	// Threshold and Limit are those of a search, Threshold also that of a verification.
	Threshold float64
	Limit     int
	// Purpose is "closest" for a search that only looks who is closest, after one that
	// found nobody; empty otherwise.
	Purpose string
	// Resembled is whom the face of a refused enrolment resembles, nil where that is not the
	// reason.
	Resembled *AuditResemblance
	// Faces is how many faces were stored, returned or detected.
	Faces int
	// Matches are those of the answer to a search.
	Matches []AuditMatch
	// Collections are those that a search of several asks for, as the client wrote them,
	// and Searches its answers, one for each face and collection.
	Collections []string
	Searches    []AuditSearch
	// Verification is the answer to a verification; nil for anything else.
	Verification *AuditVerification
	// Tracking is the JSON object that the client sent for this purpose, as it came; nil
	// for none.
	Tracking []byte
	// Duration is the time from the request's arrival to the entry.
	Duration time.Duration
}

// AuditSearch is the search of one collection for one face.
type AuditSearch struct {
	Face       int // its place among the faces of the picture, 0 for the largest
	Collection string
	Threshold  float64
	Matches    []AuditMatch
}

// AuditResemblance is a user whom a face was compared with when it was refused: as stored,
// whoever may know.
type AuditResemblance struct {
	Collection, UserID string
	Similarity         float64 // in percent
}

// AuditMatch is one user whom a search found, as the client was told.
type AuditMatch struct {
	UserID     string  // empty where the client may not know it
	Similarity float64 // in percent
}

// AuditVerification is how a face compares with one user, as the client was told.
type AuditVerification struct {
	Match      bool
	Similarity *float64 // in percent; nil where the client may not know it
}

// The phases of an AuditEntry.
const (
	AuditIntent  = "intent"  // a change that is about to be made
	AuditOutcome = "outcome" // an operation that is done or refused
)
