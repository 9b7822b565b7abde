package memstore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"imago/config"
	"imago/ports"
)

// vault turns vectors into what the file keeps of them, and back. Without a key
// that is their bytes. With one it is
//
//	ID of the key (4 bytes) | nonce (12) | ciphertext | tag (16)
//
// of AES-256-GCM (NIST SP 800-38D), whose additional data are the space, the
// collection, the user, the face, the owner and the time of enrolment: a row that was
// put in the place of another, or was given to another owner, does not open. Nothing
// shows that a row is there: who can write the file can put an earlier one in its place,
// or take rows away and correct the counts. It is for one goroutine at a time.
type vault struct {
	space   string
	keys    []*key // the one that seals first; none for no encryption
	decrypt bool   // nothing is sealed: the keys only open what is
	plain   bool   // rows without encryption open too, although there are keys
	unbound bool   // rows that an earlier imago sealed without the owner open too

	opened, about []byte // memory that is used again
}

// errSealed says why a row does not open; the key is known.
var errSealed = errors.New("its vector was not encrypted for this row with this key, or is damaged")

// newVault returns the vault of a space under the configured keys.
func newVault(cfg config.Encryption, space ports.Space) (vault, error) {
	all, err := keys(cfg)
	return vault{space: space.ID(), keys: all, decrypt: cfg.Decrypt}, err
}

// sealing is the key that seals, nil for none.
func (v *vault) sealing() *key {
	if len(v.keys) == 0 || v.decrypt {
		return nil
	}
	return v.keys[0]
}

// sealedSize is how many bytes the file keeps of a vector that is sealed.
func (v *vault) sealedSize(dimension int) int {
	return keyIDBytes + 4*dimension + v.keys[0].aead.Overhead()
}

// seal returns what is stored of a record's vector.
func (v *vault) seal(r ports.Record) []byte {
	plain := encode(r.Vector)
	k := v.sealing()
	if k == nil {
		return plain
	}
	sealed := make([]byte, keyIDBytes, v.sealedSize(len(r.Vector)))
	copy(sealed, k.id[:])
	return k.aead.Seal(sealed, nil, plain, v.identity(r))
}

// open reads into the vector of a record, which names the row and has room for
// the dimension. Whether what it reads makes sense is not judged.
func (v *vault) open(r *ports.Record, data []byte) error {
	plain := 4 * len(r.Vector)
	if len(v.keys) == 0 || (v.plain || v.decrypt) && len(data) == plain {
		if len(data) != plain {
			return fmt.Errorf("a vector of %d bytes where %d are expected", len(data), plain)
		}
		decode(r.Vector, data)
		return nil
	}
	if want := v.sealedSize(len(r.Vector)); len(data) != want {
		return fmt.Errorf("an encrypted vector of %d bytes where %d are expected", len(data), want)
	}
	id := [keyIDBytes]byte(data)
	k := find(v.keys, id)
	if k == nil {
		return fmt.Errorf("its key %s is not configured", hex.EncodeToString(id[:]))
	}
	if !v.opens(k, data, v.identity(*r)) && !(v.unbound && v.opens(k, data, v.unboundIdentity(*r))) {
		return errSealed
	}
	decode(r.Vector, v.opened)
	return nil
}

// opens reports whether a sealed vector, which is then in v.opened, belongs to a row.
func (v *vault) opens(k *key, data, identity []byte) bool {
	opened, err := k.aead.Open(v.opened[:0], nil, data[keyIDBytes:], identity)
	if err == nil {
		v.opened = opened
	}
	return err == nil
}

// current reports whether the stored vector of a row is as it would be stored now:
// sealed with the first key for this row, or plain.
func (v *vault) current(r ports.Record, data []byte, dimension int) bool {
	k := v.sealing()
	if k == nil {
		return len(data) == 4*dimension
	}
	sealed := len(data) == v.sealedSize(dimension) && [keyIDBytes]byte(data) == k.id
	return sealed && (!v.unbound || v.opens(k, data, v.identity(r)))
}

// identity is the additional data of a row, until the next call. None of its
// parts contains a zero byte.
func (v *vault) identity(r ports.Record) []byte {
	return v.identify("imago face 2", v.space, r.Collection, r.UserID, r.FaceID, r.Owner, strconv.FormatInt(r.EnrolledAt.UnixMicro(), 10))
}

// unboundIdentity is what an earlier imago took for it.
func (v *vault) unboundIdentity(r ports.Record) []byte {
	return v.identify("imago face 1", v.space, r.Collection, r.UserID, r.FaceID)
}

func (v *vault) identify(kind string, parts ...string) []byte {
	v.about = append(v.about[:0], kind...)
	for _, part := range parts {
		v.about = append(v.about, 0)
		v.about = append(v.about, part...)
	}
	return v.about
}
