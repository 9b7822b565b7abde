// Package encryptionkey reads the keys of AES-256 that a configuration names: in a file or
// in the setting itself, 32 bytes each in base64, separated by white space.
package encryptionkey
