// Package apikey knows who may call, and how often: it holds the keys of a file
// that contains their hashes only, reads the file again when it changes or when
// it is told to, and adds one key with full access from the environment for a
// quick start. A presented key is compared with all of them in constant time,
// and each has a token bucket where a rate is set. What cannot be read leaves
// the keys in force that were read before.
package apikey
