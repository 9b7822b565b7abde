// Package exactindex is an exact nearest-neighbour index of unit vectors in RAM. It
// answers like a comparison with every row, to the last bit of every score, but
// reads an eighth of the memory: a scan over codes of four bits per number
// proves for nearly every row that it cannot score enough (bound.go derives the
// proof), and the rows that remain are compared in float32. Concurrent searches
// share scans, a scan is dealt out to several cores, and writes neither wait for
// scans nor hold them up (writes.go).
package exactindex
