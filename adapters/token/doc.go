// Package token opens encrypted pictures: JSON Web Encryption in its compact
// serialization (RFC 7516) whose plaintext is an image file and whose protected
// header carries iat, exp and jti, the replicated claims of RFC 7519, section
// 5.3. The keys are those of a JWK Set file (RFC 7517), selected by kid, each bound
// to one algorithm of a short list (RFC 7518), and reloaded when the file changes. Used
// tokens are recorded until they expire, so that each opens once. The package has the
// other side as well, for devices and tests: it generates keys and encrypts pictures.
package token
