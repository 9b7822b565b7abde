package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"imago/ports"
)

// inventory is the collection of the paths that name no list.
const inventory = ports.Inventory

// Gallery is what the API needs of the core. Its errors are those of ports;
// those that the client can do something about are Refusals. The picture is
// only read and not retained.
type Gallery interface {
	// Enrol stores the face of a picture as a new user of a collection.
	Enrol(ctx context.Context, c ports.Client, collection, userID string, picture []byte) error
	// Search returns the users who look like the face of a picture, best first.
	// No match is ErrNotFound.
	Search(ctx context.Context, c ports.Client, p ports.Probe) ([]ports.Candidate, error)
	// Unenrol removes all faces of a user.
	Unenrol(ctx context.Context, c ports.Client, collection, userID string) error
	Roster
	Assessor
}

// Authenticator knows the keys.
type Authenticator interface {
	// Authenticate returns the client that a key belongs to, or
	// ErrUnauthorized. A client that has asked too often comes with a
	// ports.RateLimited.
	Authenticate(key string) (ports.Client, error)
}

// caller is who asks, for what, and about which collection.
type caller struct {
	ports.Client
	operation  ports.Operation
	collection string
}

// handling is what is done with an admitted request.
type handling func(x *exchange, r *http.Request, c caller) error

// api admits a request to a collection: there is room for it, its key is valid
// and in scope. Nothing of the body has been read by then.
func (s *Server) api(op ports.Operation, next handling) handler {
	return s.audited(op, s.admit(op, next, func(c ports.Client, r *http.Request) (string, error) { return s.scope(c, r, op) }))
}

// admit is api for requests whose scope is judged by scope, which returns the
// collection.
func (s *Server) admit(op ports.Operation, next handling, scope func(ports.Client, *http.Request) (string, error)) handler {
	return func(x *exchange, r *http.Request) error {
		client, err := s.authenticate(x, r)
		if err != nil {
			return err
		}
		if !s.requests.take(client.Name, 1, 1) {
			x.audits = false
			return ports.ErrOverloaded
		}
		defer s.requests.give(client.Name, 1)
		if conn := connectionOf(r.Context()); conn != nil {
			defer conn.work()()
		}
		collection, err := scope(client, r)
		if err != nil {
			return err
		}
		return next(x, r, caller{Client: client, operation: op, collection: collection})
	}
}

// reserved lets a request with a picture go on while there is room for the work
// on it and memory for its body. One that is turned away costs next to nothing:
// its picture is not read, and it has no line in the audit log.
func (s *Server) reserved(next handling) handling {
	return func(x *exchange, r *http.Request, c caller) error {
		release, err := s.makeReservation(x, r, c.Name)
		if err != nil {
			x.audits = false
			return err
		}
		defer release()
		ctx, charge := s.metered(r.Context(), c.Name)
		defer charge()
		return next(x, r.WithContext(ctx), c)
	}
}

func (s *Server) makeReservation(x *exchange, r *http.Request, client string) (release func(), err error) {
	longest := s.longestBody(r)
	room := &bodyRoom{all: s.bodies, client: client, bytes: initialBytes(longest)}
	if !s.bodies.take(client, room.bytes, longest+1) {
		return nil, errBodyMemory
	}
	x.room = room
	if s.reserve == nil {
		return room.release, nil
	}
	work, err := s.reserve(client)
	if err != nil {
		room.release()
		return nil, err
	}
	return func() { work(); room.release() }, nil
}

// authenticate finds the client by its key.
func (s *Server) authenticate(x *exchange, r *http.Request) (ports.Client, error) {
	keys := r.Header.Values("X-Api-Key")
	if len(keys) != 1 || keys[0] == "" {
		return ports.Client{}, ports.ErrUnauthorized
	}
	client, err := s.auth.Authenticate(keys[0])
	x.client = client.Name
	if errors.Is(err, ports.ErrUnauthorized) {
		return ports.Client{}, s.wrongKey(x, err)
	}
	return client, err
}

// wrongKey counts a key that belongs to nobody and returns what to answer.
func (s *Server) wrongKey(x *exchange, err error) error {
	tooMany := s.failures.add(x.from, time.Now())
	if tooMany == nil {
		return err
	}
	x.flood = true
	s.flooded.Do(func() {
		s.log.Warn("too many wrong keys; further ones are answered 429 and logged at debug level", "remote", nameOf(x.from))
	})
	return tooMany
}

// scope returns the collection of a path, if the client may perform op on it.
// Whether a list exists is told only to those who may use it: to them, a misspelt
// one must not read as one that nobody is on.
func (s *Server) scope(client ports.Client, r *http.Request, op ports.Operation) (string, error) {
	list := r.PathValue("list")
	collection := cmp.Or(list, inventory)
	switch {
	case !client.May(op, collection):
		return "", ports.ErrForbidden
	case list == inventory:
		return "", ports.Refuse(errNoList, `there is no list "users": the paths of the inventory name no list, as in /users/{userId}`)
	case list != "" && !s.isList(list):
		return "", ports.Refuse(errNoList, fmt.Sprintf("there is no list %s: GET /collections shows those that the key may use", quote(list)))
	}
	return collection, nil
}

// enrol serves POST /users/{userId} and POST /users/{list}/{userId}.
func (s *Server) enrol(x *exchange, r *http.Request, c caller) error {
	return s.withPicture(x, r, c, s.gallery.Enrol)
}

// search serves POST /users/search and POST /users/{list}/search.
func (s *Server) search(x *exchange, r *http.Request, c caller) error {
	picture, p, err := s.question(x, r, c, searchFields)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(r)
	defer cancel()
	x.entry.Threshold, x.entry.Limit = p.threshold, p.limit
	candidates, err := s.gallery.Search(ctx, c.Client, ports.Probe{
		Collection: c.collection, Picture: picture, Threshold: p.threshold, Limit: p.limit,
	})
	if err == nil && len(candidates) == 0 {
		err = ports.ErrNotFound
	}
	if err == nil || errors.Is(err, ports.ErrNotFound) {
		s.warn(ctx, x, c.collection, p.threshold)
	}
	if err = s.tellSearched(c.collection, err); err != nil {
		return err
	}
	x.entry.Matches = candidates
	if err := s.disclose(x); err != nil {
		return err
	}
	writeJSON(x, http.StatusOK, mediaJSON, newMatches(candidates))
	return nil
}

// tellSearched counts a search that was answered. That nobody was found is an
// answer.
func (s *Server) tellSearched(collection string, err error) error {
	absent := errors.Is(err, ports.ErrNotFound)
	if err != nil && !absent {
		return err
	}
	if s.searched != nil {
		s.searched(collection, !absent)
	}
	if absent {
		return fmt.Errorf("%w: %w", errNoMatch, err)
	}
	return nil
}

// unenrol serves DELETE /users/{userId} and DELETE /users/{list}/{userId}. A
// body means nothing and is not read.
func (s *Server) unenrol(x *exchange, r *http.Request, c caller) error {
	ctx, cancel := s.bounded(r)
	defer cancel()
	if err := s.announce(x); err != nil {
		return err
	}
	if err := s.gallery.Unenrol(ctx, c.Client, c.collection, r.PathValue("userId")); err != nil {
		return err
	}
	s.conclude(x)
	return done(x)
}

// question reads the body and the picture in it.
func (s *Server) question(x *exchange, r *http.Request, c caller, fields map[string]field) (picture []byte, p payload, err error) {
	body, err := s.readBody(x, r)
	if err != nil {
		return nil, payload{}, err
	}
	p = payload{threshold: max(s.threshold(c.collection), c.MinThreshold), limit: s.defaults.Limit}
	if err := parse(body, fields, &p); err != nil {
		return nil, payload{}, err
	}
	picture, err = s.picture(x, r, c, p.face)
	p.face = nil // the text of a token need not be kept as long as its picture
	return picture, p, err
}

// bounded is the context of the work on a request: it ends with the connection
// and after the configured time.
func (s *Server) bounded(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), s.timeouts.Request)
}

// done answers a success that has nothing to say.
func done(x *exchange) error {
	x.Header().Set("Content-Length", "0")
	x.WriteHeader(http.StatusOK)
	return nil
}

// matches is the answer to a search.
type matches struct {
	Matches []match `json:"matches"`
}

type match struct {
	UserID     string  `json:"userId,omitempty"`
	Similarity float64 `json:"similarity"`
}

func newMatches(candidates []ports.Candidate) matches {
	out := matches{Matches: make([]match, 0, len(candidates))}
	for _, c := range candidates {
		out.Matches = append(out.Matches, match{UserID: c.UserID, Similarity: c.Similarity})
	}
	return out
}
