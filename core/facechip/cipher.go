package facechip

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"imago/ports"
)

// A sealed chip is
//
//	version (1 byte) | ID of the key (4) | salt (16) | nonce (12) | ciphertext | tag (16)
//
// of AES-256-GCM (NIST SP 800-38D) under a key of its own, which HKDF-SHA256 (RFC 5869)
// derives from the configured one and the salt: however many chips are sealed, no two share a
// key and a nonce. The plaintext is a PNG, which loses nothing. The version and the alignment
// that the chip was made by are authenticated with the IDs of the face.
const (
	version   = 1
	idBytes   = 4
	saltBytes = 16
	header    = 1 + idBytes + saltBytes
)

// The errors of a chip that does not open.
var (
	// ErrUnknownKey means that the chip was sealed with a key that is not there.
	ErrUnknownKey = errors.New("the chip was encrypted with a key that is not configured")
	// ErrForeign means that the chip is not that of the face, or is damaged.
	ErrForeign = errors.New("the chip was not encrypted for this face, or is damaged")
)

// Cipher seals and opens chips. It is safe for concurrent use.
type Cipher struct{ keys []key } // the one that seals first

type key struct {
	id     [idBytes]byte
	secret [32]byte
}

// New returns a cipher that seals with the first of the keys, of which there must be one,
// and opens with all.
func New(first [32]byte, others ...[32]byte) *Cipher {
	c := &Cipher{}
	for _, secret := range append([][32]byte{first}, others...) {
		c.keys = append(c.keys, key{idOf(secret), secret})
	}
	return c
}

// idOf returns what a sealed chip says of its key: which one it is, and nothing about it.
func idOf(secret [32]byte) [idBytes]byte {
	digest := sha256.Sum256(append([]byte("imago chip key\x00"), secret[:]...))
	return [idBytes]byte(digest[:])
}

// Seal returns what is stored of the chip of a face.
func (c *Cipher) Seal(chip *ports.Chip, user ports.UserKey, faceID string) ([]byte, error) {
	plain, err := encode(chip)
	if err != nil {
		return nil, err
	}
	k := &c.keys[0]
	sealed := make([]byte, header, ports.MaxChipBytes)
	sealed[0] = version
	copy(sealed[1:], k.id[:])
	salt := sealed[1+idBytes:]
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	aead, err := k.derive(salt)
	if err != nil {
		return nil, err
	}
	return aead.Seal(sealed, nil, plain, identity(user, faceID)), nil
}

// Open returns the chip of a face. Its errors are ErrUnknownKey, ErrForeign, and that of a
// chip that a newer imago has sealed.
func (c *Cipher) Open(sealed []byte, user ports.UserKey, faceID string) (*ports.Chip, error) {
	switch {
	case len(sealed) < header:
		return nil, ErrForeign
	case sealed[0] != version:
		return nil, fmt.Errorf("the chip is of version %d, and this imago knows %d: install a newer one", sealed[0], version)
	}
	for i := range c.keys {
		k := &c.keys[i]
		if k.id != [idBytes]byte(sealed[1:]) {
			continue
		}
		aead, err := k.derive(sealed[1+idBytes : header])
		if err != nil {
			return nil, err
		}
		plain, err := aead.Open(nil, nil, sealed[header:], identity(user, faceID))
		if err != nil {
			return nil, ErrForeign
		}
		return decode(plain)
	}
	return nil, fmt.Errorf("%w: its key ID is %s", ErrUnknownKey, hex.EncodeToString(sealed[1:1+idBytes]))
}

// derive returns the cipher of one chip.
func (k *key) derive(salt []byte) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, k.secret[:], salt, "imago chip 1", len(k.secret))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// identity is the additional data of a face. None of its parts contains a zero byte.
func identity(user ports.UserKey, faceID string) []byte {
	var b []byte
	for _, part := range [...]string{"imago chip 1", ports.ChipAlignment, user.Collection, user.UserID, faceID} {
		b = append(append(b, part...), 0)
	}
	return b
}

var encoder = png.Encoder{CompressionLevel: png.BestSpeed}

// encode returns a chip as a PNG.
func encode(chip *ports.Chip) ([]byte, error) {
	img := image.NewNRGBA(image.Rect(0, 0, ports.ChipSize, ports.ChipSize))
	for i, at := 0, 0; i < len(chip); i, at = i+3, at+4 {
		img.Pix[at], img.Pix[at+1], img.Pix[at+2], img.Pix[at+3] = chip[i], chip[i+1], chip[i+2], 255
	}
	var out bytes.Buffer
	err := encoder.Encode(&out, img)
	return out.Bytes(), err
}

// decode is the opposite of encode.
func decode(data []byte) (*ports.Chip, error) {
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil || img.Bounds() != image.Rect(0, 0, ports.ChipSize, ports.ChipSize) {
		return nil, ErrForeign
	}
	chip := new(ports.Chip)
	for i := range ports.ChipSize * ports.ChipSize {
		c := color.NRGBAModel.Convert(img.At(i%ports.ChipSize, i/ports.ChipSize)).(color.NRGBA)
		chip[3*i], chip[3*i+1], chip[3*i+2] = c.R, c.G, c.B
	}
	return chip, nil
}
