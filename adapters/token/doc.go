// Package token opens encrypted pictures: JSON Web Encryption in its compact
// serialization (RFC 7516) whose plaintext is an image file and whose protected
// header carries iat, exp and jti, the replicated claims of RFC 7519, section
// 5.3. The keys are those of a JWK Set file (RFC 7517), found by kid, each bound
// to one algorithm of a short list (RFC 7518), and read again when the file
// changes. A token that was opened is remembered until it expires, so that it
// opens once. Devices and tests find the other side here as well: keys are
// generated and pictures sealed.
package token
