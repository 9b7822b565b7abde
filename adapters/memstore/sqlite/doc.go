// Package sqlite keeps the faces of a memory store in one SQLite file: it locks, checks, reads
// and upgrades the file, makes changes durable in transactions, and encrypts vectors where
// there is a key. What a file holds is read once, when it is opened; afterwards it is only
// written.
package sqlite
