// Package retry repeats what a backend could not answer for the moment. Long
// runs, such as copying a gallery, live through the restart of a database
// because of it, and give up when the backend stays away.
package retry
