// Package cli is what all commands of imago share: usage errors and exit codes, signals,
// help, completion, results as text or JSON, and progress on standard error. Commands
// are cobra's.
package cli
