// Package retry repeats calls that a backend could not answer at the moment, so that
// long runs, such as copying a gallery, survive the restart of a database and end with
// an error when the backend remains unavailable.
package retry
