// Package audit keeps imago's audit log: one line of JSON for each operation on
// the gallery, with who asked, from where, about whom, and what came of it. It
// never holds a picture, a vector or a key. Lines are only ever appended, to a
// file of mode 0600 that is opened anew by Reload after it was rotated away, or
// to standard output.
package audit
