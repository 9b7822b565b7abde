package ports

// Replica is implemented by a StoreDriver that searches a copy of its faces in memory.
type Replica interface {
	// Stats tells how it does.
	Stats() ReplicaStats

	// Notify has fn called with why searches go to the backend, each time that is found
	// again, and with nil each time that the copy was found to be searchable. It is not
	// called with failures of the backend itself, which all calls meet with. Calls are
	// made one after another. Notify comes before Open.
	Notify(fn func(error))
}

// ReplicaStats tells how a replica does.
type ReplicaStats struct {
	// Usable says that the copy is there and was confirmed when the backend was last
	// asked. The backend is searched otherwise.
	Usable bool
	// Faces and Bytes are those of the copy, or of as much of it as was read.
	Faces, Bytes int64
	// Behind is how many commits the copy lacks as far as is known: none, but while they
	// are read and when that fails. Applied is how many it has caught up with.
	Behind, Applied int64
	// Loads is how often the copy was made, or that was tried. Checks is how often the
	// backend was asked whether it is behind, and FailedChecks how often there was no
	// answer to go by. Fallbacks is how many searches went to the backend.
	Loads, Checks, FailedChecks, Fallbacks int64
}
