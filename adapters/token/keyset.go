package token

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"imago/config/regularfile"
)

// encryption is the one algorithm for the content (RFC 7518, section 5.3).
const encryption = string(jose.A256GCM)

// algorithms are the key management algorithms (RFC 7518, section 4): none that needs
// a password, and not RSA with PKCS #1 v1.5.
var algorithms = [...]jose.KeyAlgorithm{jose.DIRECT, jose.A256KW, jose.RSA_OAEP_256, jose.ECDH_ES_A256KW}

// Algorithms returns the names of the key management algorithms.
func Algorithms() []string {
	var names []string
	for _, a := range algorithms {
		names = append(names, string(a))
	}
	return names
}

func supports(algorithm string) bool {
	return slices.Contains(algorithms[:], jose.KeyAlgorithm(algorithm))
}

const (
	// maxFile is the largest file of keys, in bytes, and maxKeys the most keys.
	maxFile, maxKeys = 1 << 20, 256
	// symmetricBytes is the length of keys for dir and A256KW with A256GCM.
	symmetricBytes = 32
	// minRSABits follows RFC 7518, section 4.3. maxRSABits keeps a single
	// decryption below some milliseconds.
	minRSABits, maxRSABits = 2048, 4096
	// maxKeyID bounds a kid, in bytes.
	maxKeyID = 128
)

// keyset holds the decryption keys by kid.
type keyset map[string]jose.JSONWebKey

// readKeyset reads the keys of a file.
func readKeyset(path string) (keyset, error) {
	data, err := regularfile.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeyset(data)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return keys, nil
}

// warnIfPublic warns of a file of private keys that every user of the machine can read.
// It is no error: secrets mounted by Kubernetes are readable within their pod by default.
func warnIfPublic(path string, log *slog.Logger) {
	const others = 0o004
	if info, err := os.Stat(path); err == nil && info.Mode()&others != 0 {
		log.Warn("token keys can be read by every user: chmod 600 the file", "path", path)
	}
}

// parseKeyset parses a JWK Set (RFC 7517, section 5) of private and symmetric
// keys. It is stricter than the RFC, which ignores unusable keys: a key in the file is
// meant to be used. A set without the member keys is taken for a file that is just
// being written, while an empty one revokes all.
func parseKeyset(data []byte) (keyset, error) {
	raw, err := rawKeys(data)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxKeys {
		return nil, fmt.Errorf("has more than %d keys", maxKeys)
	}
	set := make(keyset, len(raw))
	for i, one := range raw {
		key, err := parseKey(one)
		if err == nil {
			err = checkPrivate(key)
		}
		if err == nil && set[key.KeyID].Key != nil {
			err = errors.New("has a kid that another key has")
		}
		if err != nil {
			return nil, fmt.Errorf("keys[%d] %w", i, err)
		}
		set[key.KeyID] = key
	}
	return set, nil
}

// rawKeys splits a JWK Set into its keys. Errors never quote the file.
func rawKeys(data []byte) ([]json.RawMessage, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(data, &set) != nil || set.Keys == nil {
		return nil, errors.New(`is no JWK Set, {"keys": […]}; imago token keygen makes one`)
	}
	return *set.Keys, nil
}

// parseKey parses a JWK and checks that it suits its algorithm. Errors of the library
// are dropped: they may quote a part of the key.
func parseKey(data []byte) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	if json.Unmarshal(data, &key) != nil {
		return key, errors.New("is no JWK that can be used: " +
			"kty must be oct, RSA (a private one with p and q) or EC with crv P-256, P-384 or P-521, and all members sound")
	}
	switch {
	case key.KeyID == "" || len(key.KeyID) > maxKeyID:
		return key, fmt.Errorf("needs a kid of 1 to %d bytes", maxKeyID)
	case key.Use != "" && key.Use != "enc":
		return key, errors.New("is not for encryption: use must be enc or absent")
	case !supports(key.Algorithm):
		return key, fmt.Errorf("needs an alg, one of %v", Algorithms())
	}
	return key, checkMaterial(key)
}

// checkMaterial reports whether a key, public or not, is of the kind that its
// algorithm uses. This rules out algorithm confusion, such as the bytes of a public RSA
// key used as a symmetric one.
func checkMaterial(key jose.JSONWebKey) error {
	switch jose.KeyAlgorithm(key.Algorithm) {
	case jose.DIRECT, jose.A256KW:
		if k, ok := key.Key.([]byte); !ok || len(k) != symmetricBytes {
			return fmt.Errorf("must be a symmetric key (kty oct) of %d bytes for %s", symmetricBytes, key.Algorithm)
		}
	case jose.RSA_OAEP_256:
		if k, ok := public(key.Key).(*rsa.PublicKey); !ok || k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits {
			return fmt.Errorf("must be an RSA key of %d to %d bits for %s", minRSABits, maxRSABits, key.Algorithm)
		}
	case jose.ECDH_ES_A256KW:
		if _, ok := public(key.Key).(*ecdsa.PublicKey); !ok {
			return fmt.Errorf("must be an EC key for %s", key.Algorithm)
		}
	}
	return nil
}

// checkPrivate rejects a key that cannot decrypt.
func checkPrivate(key jose.JSONWebKey) error {
	switch k := key.Key.(type) {
	case []byte, *rsa.PrivateKey:
		return nil
	case *ecdsa.PrivateKey:
		pair, err := k.ECDH()
		if err != nil {
			return errors.New("has a private key that is invalid for its curve")
		}
		if public, err := k.PublicKey.ECDH(); err != nil || !public.Equal(pair.PublicKey()) {
			return errors.New("has a private key that does not match its public key")
		}
		return nil
	}
	return errors.New("is a public key: decrypting tokens needs the private key")
}

// public returns the public part of an asymmetric key and anything else as it
// is.
func public(key any) any {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return &k.PublicKey
	case *ecdsa.PrivateKey:
		return &k.PublicKey
	}
	return key
}

// find returns the key of a token by its kid, which is bound to one algorithm.
func (s keyset) find(h header) (jose.JSONWebKey, error) {
	key, known := s[h.KeyID]
	if !known {
		return key, refuse(UnknownKey, "kid is %s", quote(h.KeyID))
	}
	if key.Algorithm != h.Algorithm {
		return key, refuse(WrongAlgorithm, "alg is %s and the key %s is for %s", quote(h.Algorithm), quote(h.KeyID), key.Algorithm)
	}
	return key, nil
}
