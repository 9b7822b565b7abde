// Package regularfile opens the files that operators name. A named pipe, a device
// or a socket in the place of a file would hold whoever opens or reads it for as
// long as its other side likes: here it is refused at once, for reading and for
// writing, and what is read is bounded.
package regularfile
