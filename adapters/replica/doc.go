// Package replica is a library: it answers the searches of a store from an exact copy of its
// faces in RAM, and proves before each search that the copy is not behind. The store
// stays the truth: it takes all writes and other reads, tells by its ports.ChangeFeed what
// has changed, and answers searches itself as long as the copy cannot.
package replica
