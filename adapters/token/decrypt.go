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
		return nil, refuse(Undecryptable, "the key is wrong, or it was modified")
	}
	return plaintext, nil
}

// decrypter returns the key for the library, RSA keys wrapped in oaep.
func decrypter(key jose.JSONWebKey) any {
	if k, ok := key.Key.(*rsa.PrivateKey); ok {
		return oaep{k}
	}
	return key.Key
}

// oaep decrypts content keys with RSA-OAEP. The library would fail early for an invalid
// one; here it is replaced by a random key, so that neither the error nor its timing
// tells what was wrong (RFC 7516, section 11.5; Manger, A Chosen Ciphertext Attack on
// RSA-OAEP, 2001). AES key wrap needs no such care: its check uses the secret key.
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
