package token

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"

	"github.com/go-jose/go-jose/v4"
)

// decrypt opens a token with its key.
func decrypt(token []byte, c compact, key jose.JSONWebKey) ([]byte, error) {
	algorithm := jose.KeyAlgorithm(key.Algorithm)
	// RFC 7516, section 5.2, step 10.
	if algorithm == jose.DIRECT && len(c.key) > 0 {
		return nil, refuse(Malformed, "it has an encrypted key, which dir has not")
	}
	object, err := jose.ParseEncryptedCompact(string(token), []jose.KeyAlgorithm{algorithm}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, refuse(Malformed, "its parts cannot be read")
	}
	plaintext, err := object.Decrypt(decrypter(key))
	if err != nil {
		return nil, refuse(Undecryptable, "the key does not open it, or it was changed")
	}
	return plaintext, nil
}

// decrypter returns the key in the form in which the library uses it best.
func decrypter(key jose.JSONWebKey) any {
	if k, ok := key.Key.(*rsa.PrivateKey); ok {
		return oaep{k}
	}
	return key.Key
}

// oaep decrypts content keys with RSA. The library would answer a broken one
// before it has looked at the content; here a random key takes its place, so
// that neither the answer nor its time tells what was wrong (RFC 7516, section
// 11.5; Manger, A Chosen Ciphertext Attack on RSA-OAEP, 2001). Keys wrapped with
// AES need no such care: their check is a secret-key one.
type oaep struct{ key *rsa.PrivateKey }

var _ jose.OpaqueKeyDecrypter = oaep{}

// DecryptKey returns the content key or a random one, and never an error.
func (o oaep) DecryptKey(encrypted []byte, _ jose.Header) ([]byte, error) {
	substitute := make([]byte, symmetricBytes)
	_, _ = rand.Read(substitute) // never fails; see its documentation
	key, err := rsa.DecryptOAEP(sha256.New(), nil, o.key, encrypted, nil)
	if err != nil || len(key) != symmetricBytes {
		return substitute, nil
	}
	return key, nil
}
