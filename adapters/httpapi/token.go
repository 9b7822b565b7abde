package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"

	"imago/ports"
)

// TokenOpener opens encrypted pictures.
type TokenOpener interface {
	// Open returns the picture in a token, which is a JWE in compact
	// serialization (RFC 7516), for a request of that purpose. The error says why a token is not accepted; it is
	// for the log, and the client is told none of it. Only a context that ended
	// is told apart. The token is read and not retained.
	Open(ctx context.Context, token []byte, p ports.Purpose) ([]byte, error)
}

// Tokens is the entrance for encrypted pictures.
type Tokens struct {
	// Opener may be nil, then every token is refused.
	Opener TokenOpener
	// RequiredInInventory refuses plain pictures for the inventory; the lists
	// say so themselves.
	RequiredInInventory bool
}

// picture returns the picture that the text of a face stands for.
func (s *Server) picture(x *exchange, r *http.Request, c caller, text []byte) ([]byte, error) {
	face, err := readFaceText(text)
	if err != nil {
		return nil, err
	}
	if face.token {
		return s.openToken(x, r, face.text, ports.Purpose{Operation: c.operation, Collection: c.collection})
	}
	if s.requiresToken(c.collection) {
		return nil, errTokenRequired
	}
	return face.decode(s.limits.ImageBytes)
}

// openToken opens a token. The one thing about it that the client is told is
// that the picture is too large, which everybody can see from its length. All
// else is one answer, and the reason goes to the log.
func (s *Server) openToken(x *exchange, r *http.Request, token []byte, p ports.Purpose) ([]byte, error) {
	if base64.RawURLEncoding.DecodedLen(len(ciphertext(token))) > s.limits.ImageBytes {
		return nil, pictureTooLarge(s.limits.ImageBytes)
	}
	if s.tokens.Opener == nil {
		return nil, errToken
	}
	ctx, cancel := s.bounded(r)
	defer cancel()
	picture, err := s.tokens.Opener.Open(ctx, token, p)
	switch {
	case err == nil && len(picture) > s.limits.ImageBytes:
		return nil, pictureTooLarge(s.limits.ImageBytes)
	case err == nil:
		return picture, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	s.logger(x).Warn("token refused", "route", x.route, "client", x.client, "error", err)
	return nil, errToken
}

// ciphertext is the fourth of a token's five parts.
func ciphertext(token []byte) []byte {
	parts := bytes.SplitN(token, []byte("."), 5)
	return parts[3]
}

// requiresToken reports whether a collection refuses plain pictures.
func (s *Server) requiresToken(collection string) bool {
	if collection == inventory {
		return s.tokens.RequiredInInventory
	}
	for _, list := range s.lists {
		if list.Name == collection {
			return list.RequireToken
		}
	}
	return false
}
