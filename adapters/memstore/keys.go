package memstore

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"imago/config"
	"imago/config/regularfile"
)

const (
	// keyBytes is the length of a key of AES-256.
	keyBytes = 32
	// maxKeys bounds how many earlier keys may be kept.
	maxKeys = 64
	// maxKeyFile is the size of the largest key file, in bytes.
	maxKeyFile = 64 << 10
	// keyIDBytes is the length of what a row says of its key.
	keyIDBytes = 4
)

// key is one key for vectors. Its ID says which key it is and nothing about it:
// a piece of the SHA-256 of 256 random bits.
type key struct {
	id   [keyIDBytes]byte
	aead cipher.AEAD

	// sealed is how many vectors it has sealed at most, and noted the number
	// that the file has of it; see database.spend.
	sealed, noted uint64
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

// keys returns the configured keys, the one that encrypts first; none is no
// error. What cannot be a key is never repeated in an error.
func keys(cfg config.Encryption) ([]*key, error) {
	text := []byte(cfg.Key.Reveal())
	if cfg.KeyFile != "" {
		var err error
		if text, err = readKeyFile(cfg.KeyFile); err != nil {
			return nil, fmt.Errorf("store.memory.encryption.key_file: %w", err)
		}
	}
	var all []*key
	for _, word := range words(text) {
		secret, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(word, "="))
		if err != nil || len(secret) != keyBytes {
			return nil, fmt.Errorf("key %d of store.memory.encryption is not %d bytes in base64; "+
				"make one with: openssl rand -base64 32", len(all)+1, keyBytes)
		}
		k, err := newKey(secret)
		if err != nil {
			return nil, err
		}
		if find(all, k.id) != nil {
			return nil, fmt.Errorf("key %d of store.memory.encryption is there twice", len(all)+1)
		}
		if all = append(all, k); len(all) > maxKeys {
			return nil, fmt.Errorf("store.memory.encryption has more than %d keys", maxKeys)
		}
	}
	if (cfg.KeyFile != "" || cfg.Key != "") && len(all) == 0 {
		return nil, errors.New("store.memory.encryption: there is no key in what it names")
	}
	return all, nil
}

func readKeyFile(path string) ([]byte, error) {
	return regularfile.Read(path, maxKeyFile)
}

// words returns what is between white space, without comments.
func words(text []byte) []string {
	var all []string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		all = append(all, strings.Fields(line)...)
	}
	return all
}

// find returns the key of an ID, nil where it is not there.
func find(all []*key, id [keyIDBytes]byte) *key {
	for _, k := range all {
		if k.id == id {
			return k
		}
	}
	return nil
}
