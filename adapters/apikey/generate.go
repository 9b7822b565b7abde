package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// prefix lets people and scanners recognise a leaked key.
const prefix = "imago_"

// Generate returns a key of 256 random bits and its SHA-256 in lower-case hex, as
// stored in a keys file.
func Generate() (key, sha256hex string) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails; see its documentation
	key = prefix + base64.RawURLEncoding.EncodeToString(secret[:])
	hash := sha256.Sum256([]byte(key))
	return key, hex.EncodeToString(hash[:])
}
