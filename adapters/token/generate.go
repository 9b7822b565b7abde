package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/go-jose/go-jose/v4"

	"imago/config/regularfile"
)

// generatedRSABits is the size of new RSA keys: 128 bits of security (NIST SP
// 800-57, part 1, table 2).
const generatedRSABits = 3072

// Pair is a new key: the one that decrypts tokens, and the one that a device encrypts
// them with.
type Pair struct{ private jose.JSONWebKey }

// Generate generates a key for one of Algorithms. The kid is 1 to 128 bytes.
func Generate(algorithm, kid string) (Pair, error) {
	key := jose.JSONWebKey{KeyID: kid, Algorithm: algorithm, Use: "enc"}
	var err error
	switch jose.KeyAlgorithm(algorithm) {
	case jose.DIRECT, jose.A256KW:
		secret := make([]byte, symmetricBytes)
		_, err = rand.Read(secret)
		key.Key = secret
	case jose.RSA_OAEP_256:
		key.Key, err = rsa.GenerateKey(rand.Reader, generatedRSABits)
	case jose.ECDH_ES_A256KW:
		key.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return Pair{}, fmt.Errorf("the algorithm must be one of %v", Algorithms())
	}
	if err == nil && (kid == "" || len(kid) > maxKeyID) {
		err = fmt.Errorf("the kid must have 1 to %d bytes", maxKeyID)
	}
	return Pair{key}, err
}

// Device returns the JWK for the device: the public key, or for dir and A256KW
// the key itself, which both sides share.
func (p Pair) Device() ([]byte, error) {
	device := p.private
	device.Key = public(device.Key)
	return indented(device)
}

// AddTo adds the key to the JWK Set in a file, which is replaced atomically, or created
// with mode 0600.
func (p Pair) AddTo(path string) error {
	keys, mode, err := presentKeys(path)
	if err != nil {
		return err
	}
	added, err := json.Marshal(p.private)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	data, err := indented(map[string]any{"keys": append(keys, added)})
	if err != nil {
		return err
	}
	if _, err := parseKeyset(data); err != nil {
		return fmt.Errorf("%s with the new key: %w", path, err)
	}
	return regularfile.Replace(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// presentKeys returns the keys in a file, none when it is missing, and its mode.
func presentKeys(path string) ([]json.RawMessage, fs.FileMode, error) {
	data, err := regularfile.Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0o600, nil
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	keys, err := rawKeys(data)
	if err != nil {
		return nil, 0, fmt.Errorf("%s %w", path, err)
	}
	return keys, info.Mode().Perm(), nil
}

func indented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return append(data, '\n'), nil
}
