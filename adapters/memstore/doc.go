// Package memstore is the embedded ports.StoreDriver: an exact index of all
// faces in RAM, made durable by one SQLite file where a path is configured.
// Searches only read the index. Writes queue for one goroutine, which puts those
// that wait into one transaction (so that they share the disk's flush), commits,
// changes the index and then answers: what a caller was told is on disk, and
// what a search sees was committed. With a key the file has vectors encrypted
// only. One process owns a file; backups may be taken while it runs, with the
// online backup of the sqlite3 tool.
package memstore
