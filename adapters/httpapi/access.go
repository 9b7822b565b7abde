package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"imago/adapters/httpapi/fairlimit"
	"imago/adapters/httpapi/listener"
	"imago/config"
	"imago/core/naming"
	"imago/ports"
)

// Keys are the keys of clients.
type Keys interface {
	// Authenticate returns the client that a key belongs to, or
	// ErrUnauthorized. A client that has asked too often comes with a
	// ports.RateLimited.
	Authenticate(key string) (ports.Client, error)
	// Charge takes further calls from what a client's rate allows.
	Charge(client string, calls int)
}

// access lets requests through whose key is valid and in scope, and limits how many of
// them are in progress. Nothing of their bodies has been read by then.
type access struct {
	keys        Keys
	collections collections
	audit       *Audit
	requests    *fairlimit.Limit
	wrongKeys   *wrongKeys
	wrongKeyLog rate.Sometimes
}

func newAccess(o Options) *access {
	return &access{
		keys: o.Keys, collections: newCollections(o), audit: &o.Audit, wrongKeys: newWrongKeys(),
		wrongKeyLog: rate.Sometimes{Interval: time.Minute},
		requests:    fairlimit.New(requestLimit(o.Server.Limits)),
	}
}

// requestLimit returns how many requests may be in progress. An eighth of the
// connections is left to those who have no key, such as probes of health.
func requestLimit(l config.Limits) int64 {
	return int64(max(1, min(l.InFlight, l.Connections-max(1, l.Connections/8))))
}

// caller is the client of a request, what it wants to do, and to which collection, if to
// any.
type caller struct {
	ports.Client
	operation  ports.Operation
	collection config.Collection
}

// authorizedHandler answers a request that access let through.
type authorizedHandler func(ctx context.Context, x *exchange, r *http.Request, c caller) error

// onCollection serves an operation on the collection of the path. The name is that in the
// audit log, which tells apart what needs the same permission.
func (a *access) onCollection(name string, op ports.Operation, next authorizedHandler) handler {
	of := func(r *http.Request) string { return cmp.Or(r.PathValue("list"), naming.Inventory) }
	return a.audit.audited(name, of, a.authorize(op, next, func(client ports.Client, r *http.Request) (config.Collection, error) {
		return a.collections.permitted(client, r.PathValue("list"), op)
	}))
}

// withKey serves an operation on no collection, for clients that pass a test.
func (a *access) withKey(name string, op ports.Operation, may func(ports.Client) bool, next authorizedHandler) handler {
	none := func(*http.Request) string { return "" }
	return a.audit.audited(name, none, a.authorize(op, next, func(client ports.Client, _ *http.Request) (config.Collection, error) {
		if !may(client) {
			return config.Collection{}, ports.ErrForbidden
		}
		return config.Collection{}, nil
	}))
}

// authorize finds the client of a request, and by scope the collection.
func (a *access) authorize(op ports.Operation, next authorizedHandler, scope func(ports.Client, *http.Request) (config.Collection, error)) handler {
	return func(x *exchange, r *http.Request) error {
		client, err := a.authenticate(x, r)
		if err != nil {
			return err
		}
		if !a.requests.Acquire(client.Name, 1, 1) {
			x.audit = nil
			return ports.ErrOverloaded
		}
		defer a.requests.Release(client.Name, 1)
		defer listener.Of(r.Context()).Work()()
		collection, err := scope(client, r)
		if err != nil {
			return err
		}
		return next(r.Context(), x, r, caller{Client: client, operation: op, collection: collection})
	}
}

// authenticate finds the client by its key.
func (a *access) authenticate(x *exchange, r *http.Request) (ports.Client, error) {
	keys := r.Header.Values("X-Api-Key")
	if len(keys) != 1 || keys[0] == "" {
		return ports.Client{}, ports.ErrUnauthorized
	}
	client, err := a.keys.Authenticate(keys[0])
	x.client = client.Name
	if !errors.Is(err, ports.ErrUnauthorized) {
		return client, err
	}
	if tooMany := a.wrongKeys.add(x.from, time.Now()); tooMany != nil {
		x.flood = true
		a.wrongKeyLog.Do(func() {
			x.log.Warn("too many invalid API keys from one address, answering 429 and logging further ones at debug level",
				"remote", listener.Text(x.from))
		})
		err = tooMany
	}
	return ports.Client{}, err
}

// within gives the work on a request a time. The context ends with the connection,
// too.
func within(timeout time.Duration, next authorizedHandler) authorizedHandler {
	return func(ctx context.Context, x *exchange, r *http.Request, c caller) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return next(ctx, x, r, c)
	}
}
