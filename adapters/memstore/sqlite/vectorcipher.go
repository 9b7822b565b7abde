package sqlite

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"imago/config"
	"imago/ports"
)

// vectorCipher turns vectors into what the file keeps of them, and back. Without a key
// that is their bytes. With one it is
//
//	ID of the key (4 bytes) | nonce (12) | ciphertext | tag (16)
//
// of AES-256-GCM (NIST SP 800-38D), whose additional data are the space, the
// collection, the user, the face, the owner, the time of enrolment and the expiry, if there
// is one: a row that was put in the place of another, or was given to another owner or
// another expiry, does not open. Nothing
// shows that a row is there: who can write the file can put an earlier one in its place,
// or take rows away and correct the counts. It is for one goroutine at a time.
type vectorCipher struct {
	space        string
	keys         []*key // the one that seals first; none for no encryption
	decrypt      bool   // nothing is sealed: the keys only open what is
	allowPlain   bool   // rows without encryption open too, although there are keys
	allowUnbound bool   // rows that an earlier imago sealed without the owner open too

	plaintext, identityBuffer []byte // memory that is used again
}

// errSealed says why a row does not open; the key is known.
var errSealed = errors.New("the vector was not encrypted for this row with this key, or is corrupt")

// newVectorCipher returns the cipher of a space under the configured keys.
func newVectorCipher(cfg config.Encryption, space ports.Space) (vectorCipher, error) {
	all, err := keys(cfg)
	return vectorCipher{space: space.ID(), keys: all, decrypt: cfg.Decrypt}, err
}

// opener returns a cipher with the same keys for another goroutine, which only opens.
func (c *vectorCipher) opener() vectorCipher {
	return vectorCipher{space: c.space, keys: c.keys, decrypt: c.decrypt}
}

// sealingKey is the key that seals, nil for none.
func (c *vectorCipher) sealingKey() *key {
	if len(c.keys) == 0 || c.decrypt {
		return nil
	}
	return c.keys[0]
}

// sealedSize is how many bytes the file keeps of a vector that is sealed.
func (c *vectorCipher) sealedSize(dimension int) int {
	return keyIDBytes + 4*dimension + c.keys[0].aead.Overhead()
}

// seal returns what is stored of a record's vector.
func (c *vectorCipher) seal(r ports.Record) []byte {
	plain := encode(r.Vector)
	k := c.sealingKey()
	if k == nil {
		return plain
	}
	sealed := make([]byte, keyIDBytes, c.sealedSize(len(r.Vector)))
	copy(sealed, k.id[:])
	return k.aead.Seal(sealed, nil, plain, c.identity(r))
}

// open reads into the vector of a record, which names the row and has room for
// the dimension. Whether the numbers make sense is for the caller to check.
func (c *vectorCipher) open(r *ports.Record, data []byte) error {
	plain := 4 * len(r.Vector)
	if len(c.keys) == 0 || (c.allowPlain || c.decrypt) && len(data) == plain {
		if len(data) != plain {
			return fmt.Errorf("a vector of %d bytes where %d are expected", len(data), plain)
		}
		decode(r.Vector, data)
		return nil
	}
	if want := c.sealedSize(len(r.Vector)); len(data) != want {
		return fmt.Errorf("an encrypted vector of %d bytes where %d are expected", len(data), want)
	}
	id := [keyIDBytes]byte(data)
	k := find(c.keys, id)
	if k == nil {
		return fmt.Errorf("its key %s is not configured", hex.EncodeToString(id[:]))
	}
	if !c.tryOpen(k, data, c.identity(*r)) && !(c.allowUnbound && c.tryOpen(k, data, c.unboundIdentity(*r))) {
		return errSealed
	}
	decode(r.Vector, c.plaintext)
	return nil
}

// tryOpen reports whether a sealed vector, which is then in c.plaintext, belongs to a row.
func (c *vectorCipher) tryOpen(k *key, data, identity []byte) bool {
	opened, err := k.aead.Open(c.plaintext[:0], nil, data[keyIDBytes:], identity)
	if err == nil {
		c.plaintext = opened
	}
	return err == nil
}

// isCurrent reports whether the stored vector of a row is as it would be stored now:
// sealed with the first key for this row, or plain.
func (c *vectorCipher) isCurrent(r ports.Record, data []byte, dimension int) bool {
	k := c.sealingKey()
	if k == nil {
		return len(data) == 4*dimension
	}
	sealed := len(data) == c.sealedSize(dimension) && [keyIDBytes]byte(data) == k.id
	return sealed && (!c.allowUnbound || c.tryOpen(k, data, c.identity(r)))
}

// identity is the additional data of a row, until the next call. None of its
// parts contains a zero byte.
func (c *vectorCipher) identity(r ports.Record) []byte {
	parts := []string{c.space, r.Collection, r.UserID, r.FaceID, r.Owner, strconv.FormatInt(r.EnrolledAt.UnixMicro(), 10)}
	if r.ExpiresAt.IsZero() {
		return c.appendIdentity("imago face 2", parts...)
	}
	return c.appendIdentity("imago face 3", append(parts, strconv.FormatInt(ports.Microseconds(r.ExpiresAt), 10))...)
}

// unboundIdentity is the additional data that an earlier imago used.
func (c *vectorCipher) unboundIdentity(r ports.Record) []byte {
	return c.appendIdentity("imago face 1", c.space, r.Collection, r.UserID, r.FaceID)
}

func (c *vectorCipher) appendIdentity(kind string, parts ...string) []byte {
	c.identityBuffer = append(c.identityBuffer[:0], kind...)
	for _, part := range parts {
		c.identityBuffer = append(append(c.identityBuffer, 0), part...)
	}
	return c.identityBuffer
}
