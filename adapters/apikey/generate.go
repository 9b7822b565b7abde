package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// prefix lets people and scanners recognise a leaked key.
const prefix = "imago_"

// Generate makes a key of 256 random bits and returns it with the SHA-256 in
// lower-case hex under which it goes into a file of keys.
func Generate() (key, sha256hex string) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails; see its documentation
	key = prefix + base64.RawURLEncoding.EncodeToString(secret[:])
	hash := sha256.Sum256([]byte(key))
	return key, hex.EncodeToString(hash[:])
}
