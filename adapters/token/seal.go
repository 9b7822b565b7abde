package token

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"imago/config/regularfile"
	"imago/ports"
)

// Sealer encrypts pictures into tokens, as a capture device does. It is safe for concurrent use.
type Sealer struct{ key jose.JSONWebKey }

// LoadSealer reads the key with which pictures are sealed from a file with a JWK
// or a JWK Set: the one with the given kid, or the only one where kid is empty.
// A public key is enough; of a private one the public part is used.
func LoadSealer(path, kid string) (*Sealer, error) {
	data, err := regularfile.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	raw := []json.RawMessage{data}
	if set, err := rawKeys(data); err == nil {
		raw = set
	}
	key, err := choose(raw, kid)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key.Key = public(key.Key)
	return &Sealer{key}, nil
}

// choose returns the key with a kid. Of the others only the kid is parsed.
func choose(raw []json.RawMessage, kid string) (jose.JSONWebKey, error) {
	if kid == "" && len(raw) != 1 {
		return jose.JSONWebKey{}, fmt.Errorf("has %d keys: name one by its kid", len(raw))
	}
	for _, one := range raw {
		var named struct {
			KeyID string `json:"kid"`
		}
		if json.Unmarshal(one, &named) != nil {
			return jose.JSONWebKey{}, errors.New("is neither a JWK nor a JWK Set")
		}
		if kid == "" || named.KeyID == kid {
			key, err := parseKey(one)
			if err != nil {
				return key, fmt.Errorf("the key %w", err)
			}
			return key, nil
		}
	}
	return jose.JSONWebKey{}, fmt.Errorf("has no key with the kid %q", kid)
}

// Seal encrypts a picture into a token that was issued now, expires after ttl
// and has a random jti. It is bound to what p names.
func (s *Sealer) Seal(picture []byte, now time.Time, ttl time.Duration, p ports.Purpose) (string, error) {
	options := new(jose.EncrypterOptions).
		WithHeader("iat", now.Unix()).
		WithHeader("exp", now.Add(ttl).Unix()).
		WithHeader("jti", rand.Text())
	if p.Operation != "" {
		options = options.WithHeader("op", string(p.Operation))
	}
	if p.Collection != "" {
		options = options.WithHeader("col", p.Collection)
	}
	recipient := jose.Recipient{Algorithm: jose.KeyAlgorithm(s.key.Algorithm), Key: s.key.Key, KeyID: s.key.KeyID}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, recipient, options)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	object, err := encrypter.Encrypt(picture)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return object.CompactSerialize()
}
