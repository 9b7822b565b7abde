// Package apikey authenticates clients by their API keys and limits their rates.
// The keys are those of a file, which holds only their hashes and is read again when
// it changes, and one key with full access from the environment for a quick start. A
// presented key is compared with all of them in constant time. A file that cannot be
// used leaves the current keys valid.
package apikey
