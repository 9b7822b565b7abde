// Package audit writes imago's audit log: one line of JSON for each operation on the
// gallery, with client, address, user, and outcome. It never holds a picture, a vector
// or a key. Lines are only ever appended, to a file of mode 0600 that Reload reopens
// after a rotation, or to standard output.
package audit
