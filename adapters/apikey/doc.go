// Package apikey knows who may call: it holds the keys of a file that contains
// their hashes only, reads the file again when it changes, and adds one key with
// full access from the environment for a quick start. A presented key is
// compared with all of them in constant time. What cannot be read leaves the
// keys in force that were read before.
package apikey
