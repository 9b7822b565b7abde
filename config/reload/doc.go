// Package reload keeps what was read from files up to date while imago runs: the
// files of keys and certificates that operators and secret stores replace. It
// knows nothing of what is in them; whoever reads them decides what can be used,
// and what is in force stays where a new state cannot.
package reload
