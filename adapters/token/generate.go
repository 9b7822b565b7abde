package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"

	"imago/config/regularfile"
)

// generatedRSABits is the size of new RSA keys: 128 bits of security (NIST SP
// 800-57, part 1, table 2).
const generatedRSABits = 3072

// Pair is a new key: the one that opens tokens, and what a device needs to make
// them.
type Pair struct{ private jose.JSONWebKey }

// Generate makes a key for one of Algorithms. The kid is 1 to 128 bytes.
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

// AddTo adds the key to the JWK Set in a file, which is replaced in one step, or
// made when it is missing: then only its owner can read it.
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
	return replaceFile(path, data, mode)
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

// replaceFile puts a file in the place of another in one step, so that nobody
// reads half of it.
func replaceFile(path string, data []byte, mode fs.FileMode) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".imago-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
