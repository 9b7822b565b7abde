package sqlite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"imago/config"
	"imago/config/encryptionkey"
)

// keyIDBytes is the length of what a row says of its key.
const keyIDBytes = 4

// key is one key for vectors. Its ID says which key it is and nothing about it:
// a piece of the SHA-256 of 256 random bits.
type key struct {
	id   [keyIDBytes]byte
	aead cipher.AEAD

	// sealed is how many vectors it has sealed at most, and reserved the number that is
	// written in the file; see countSealed.
	sealed, reserved uint64
}

// name is the key's ID for people and for the table meta.
func (k *key) name() string { return hex.EncodeToString(k.id[:]) }

func newKey(secret []byte) (*key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	// A random nonce of 96 bits in front of each ciphertext; maxSealed bounds
	// how many there are.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(append([]byte("imago memory store key\x00"), secret...))
	return &key{id: [keyIDBytes]byte(digest[:]), aead: aead}, nil
}

// keys returns the configured keys, the one that encrypts first; none is no error.
func keys(cfg config.Encryption) ([]*key, error) {
	secrets, err := encryptionkey.Read("store.memory.encryption", cfg.KeyFile, cfg.Key.Reveal())
	if err != nil {
		return nil, err
	}
	var all []*key
	for _, secret := range secrets {
		k, err := newKey(secret[:])
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

// find returns the key of an ID, nil where it is not there.
func find(all []*key, id [keyIDBytes]byte) *key {
	if at := slices.IndexFunc(all, func(k *key) bool { return k.id == id }); at >= 0 {
		return all[at]
	}
	return nil
}
