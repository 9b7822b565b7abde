package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"time"

	"imago/adapters/httpapi/body"
	"imago/config"
	"imago/core/gallery"
	"imago/ports"
)

// ReserveFunc announces a picture of a client before it is received. It answers
// ports.ErrOverloaded where there is no place left; release is called when the
// request is done.
type ReserveFunc func(client string) (release func(), err error)

// TokenOpener opens encrypted pictures.
type TokenOpener interface {
	// Open returns the picture in a token, which is a JWE in compact serialization
	// (RFC 7516), for a request of that purpose. The error says why a token is not
	// accepted; it is for the log, the client does not see it. The token is read and not
	// retained.
	Open(ctx context.Context, token []byte, p ports.Purpose) ([]byte, error)
}

// Tokens is what opens encrypted pictures.
type Tokens struct {
	// Opener may be nil, then every token is refused.
	Opener TokenOpener
	// RequiredInInventory refuses plain pictures for the inventory; the lists
	// say so themselves.
	RequiredInInventory bool
}

// pictures receives the pictures of requests.
type pictures struct {
	bodies  *body.Reader
	known   collections
	tokens  TokenOpener
	reserve ReserveFunc
	charge  func(client string, calls int)
	tracked func(ctx context.Context, tracking string)
	limit   int           // of a search that names none
	timeout time.Duration // for the work on a picture
}

func newPictures(o Options, known collections) *pictures {
	return &pictures{
		bodies: body.NewReader(o.Server.Limits, o.Server.Timeouts.Body), known: known, tokens: o.Tokens.Opener,
		reserve: o.Reserve, charge: o.Keys.Charge, tracked: o.Tracked, limit: o.Search.Limit, timeout: o.Server.Timeouts.Request,
	}
}

// request is what a client asks about a picture.
type request struct {
	picture   []byte
	threshold float64
	limit     int
	explain   bool
	purpose   string
	expiresAt time.Time
	// searched are the collections of a search in several, each with its threshold.
	searched []config.Collection
	allFaces bool
}

// pictureHandler answers a request whose picture has been received.
type pictureHandler func(ctx context.Context, x *exchange, r *http.Request, c caller, q request) error

// receive reads the picture of a request while there is room for the work on it and
// memory for its body. A request that is rejected costs next to nothing: its picture is
// not read, and it is not in the audit log.
func (p *pictures) receive(fields body.Fields, next pictureHandler) authorizedHandler {
	return func(ctx context.Context, x *exchange, r *http.Request, c caller) error {
		release, err := p.admit(x, r, c.Name)
		if err != nil {
			x.audit = nil
			return err
		}
		defer release()
		text, err := p.readBody(x, r)
		if err != nil {
			return err
		}
		q, face, err := p.parse(x, r, c, fields, text)
		if err != nil {
			return err
		}
		ctx, settle := withMeter(ctx, c.Name, p.charge)
		defer settle()
		ctx, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		if face.IsToken {
			if q.picture, err = p.openToken(ctx, x, face.Text, purposeOf(c, q)); err != nil {
				return err
			}
		}
		face.Text, text = nil, nil // so that a token need not be kept as long as its picture
		return next(ctx, x, r, c, q)
	}
}

// parse reads a body. A token is not opened, which may be done once only. All that is
// wrong with the request is told at once.
func (p *pictures) parse(x *exchange, r *http.Request, c caller, fields body.Fields, text []byte) (q request, face body.Face, err error) {
	in := body.Request{Threshold: max(c.collection.Threshold, c.MinThreshold), Limit: p.limit}
	var wrong mistakes
	wrong.add(p.known.checkUserID(r))
	wrong.add(body.Parse(text, fields, &in))
	p.noteRequest(r.Context(), x, in)
	var refused mistakes
	q.searched, refused = p.known.searched(c.Client, in)
	wrong = append(wrong, refused...)
	if c.operation == ports.OpSearch {
		wrong.add(gallery.CheckSearch(in.Threshold, in.Limit))
	}
	wrong.add(gallery.CheckExpiresAt(in.ExpiresAt, time.Now()))
	if in.Face != nil {
		if face, err = body.ReadFace(in.Face); err == nil && !face.IsToken {
			q.picture, err = p.decode(append(q.searched, c.collection), face)
		}
		wrong.add(err)
	}
	q.threshold, q.limit, q.explain, q.purpose = in.Threshold, in.Limit, in.Explain, in.Purpose
	q.expiresAt, q.allFaces = in.ExpiresAt, in.AllFaces
	return q, face, wrong.err()
}

// noteRequest has audit log and trace told what the client sent for them.
func (p *pictures) noteRequest(ctx context.Context, x *exchange, in body.Request) {
	x.entry.Collections, x.entry.Tracking = in.Collections, in.Tracking
	if p.tracked != nil && in.Tracking != nil {
		p.tracked(ctx, string(in.Tracking))
	}
}

// purposeOf returns what a token must be for. One that is bound to a collection is not for
// a search in several.
func purposeOf(c caller, q request) ports.Purpose {
	if len(q.searched) == 1 {
		return ports.Purpose{Operation: c.operation, Collection: q.searched[0].Name}
	}
	return ports.Purpose{Operation: c.operation, Collection: c.collection.Name}
}

// admit reserves memory and work for a picture.
func (p *pictures) admit(x *exchange, r *http.Request, client string) (release func(), err error) {
	if x.memory, err = p.bodies.Allocate(r, client); err != nil {
		return nil, err
	}
	if p.reserve == nil {
		return x.memory.Release, nil
	}
	work, err := p.reserve(client)
	if err != nil {
		x.memory.Release()
		return nil, err
	}
	return func() { work(); x.memory.Release() }, nil
}

// readBody reads the whole body.
func (p *pictures) readBody(x *exchange, r *http.Request) ([]byte, error) {
	if err := p.bodies.CheckHeader(r); err != nil {
		return nil, err
	}
	// net/http's own writer lets MaxBytesReader close the connection.
	text, err := p.bodies.Read(x.ResponseWriter, r, x.start, x.memory)
	// After a refusal in the middle the rest can follow.
	x.bodyRead = !errors.Is(err, body.ErrMemory) && !errors.Is(err, ports.ErrTooLarge)
	if errors.Is(err, body.ErrMemory) {
		x.audit = nil // as if it had been refused before
	}
	return text, err
}

// decode returns a plain picture, unless one of the collections that it is for accepts
// tokens only.
func (p *pictures) decode(about []config.Collection, face body.Face) ([]byte, error) {
	if slices.ContainsFunc(about, func(one config.Collection) bool { return one.RequireToken }) {
		return nil, errTokenRequired
	}
	return face.Decode(p.bodies.ImageBytes)
}

// openToken opens a token. That the picture is too large, which its length shows, is
// answered as such. All else has one answer, and the reason goes to the log.
func (p *pictures) openToken(ctx context.Context, x *exchange, token []byte, purpose ports.Purpose) ([]byte, error) {
	ciphertext := bytes.SplitN(token, []byte("."), 5)[3] // the fourth of five parts
	if base64.RawURLEncoding.DecodedLen(len(ciphertext)) > p.bodies.ImageBytes {
		return nil, body.PictureTooLarge(p.bodies.ImageBytes)
	}
	if p.tokens == nil {
		return nil, errToken
	}
	picture, err := p.tokens.Open(ctx, token, purpose)
	switch {
	case err == nil && len(picture) > p.bodies.ImageBytes:
		return nil, body.PictureTooLarge(p.bodies.ImageBytes)
	case err == nil:
		return picture, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	x.log.Warn("token refused", "route", x.route, "client", x.client, "error", err)
	return nil, errToken
}
