// Package bulk enrols the pictures of a folder: many users concurrently, each
// picture once however often the run is repeated, and with a reason for every
// file that was not enrolled. It keeps no state of its own, because a face is
// named after the content of its picture.
package bulk
