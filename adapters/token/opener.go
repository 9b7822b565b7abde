package token

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"imago/config"
	"imago/config/reload"
	"imago/ports"
)

// maxID bounds a jti, in bytes.
const maxID = 256

// Opener opens tokens. Its methods are safe for concurrent use but for those
// that say otherwise.
type Opener struct {
	path     string
	limit    int
	validity validity
	opened   *replayCache // nil when repeated tokens are accepted
	log      *slog.Logger
	now      func() time.Time
	slots    chan struct{} // a place for each decryption at work

	onReload  func(error)
	onRefused func(reason string)

	keys atomic.Pointer[keyset] // nil while there are none to open anything with
	file *reload.Files
}

// New returns an Opener of pictures of at most imageBytes. It opens nothing
// until it is started.
func New(cfg config.Token, imageBytes int, log *slog.Logger) *Opener {
	o := &Opener{
		path: cfg.KeysFile, limit: imageBytes, validity: validity{cfg.MaxAge, cfg.ClockSkew},
		log: log, now: time.Now,
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	o.file = reload.New(o.load, o.report, o.path)
	if cfg.ReplayCache > 0 {
		o.opened = newReplayCache(cfg.ReplayCache)
	}
	return o
}

// OnRefused sets a function that is told of every refusal, by one of Reasons.
// It must be called before Start; the function must not block.
func (o *Opener) OnRefused(f func(reason string)) { o.onRefused = f }

// Open returns the picture in a token (JWE compact serialization). An error is
// that of ctx, or wraps ErrInvalid and says why for the log: callers from
// outside must not learn the difference. A token that was opened is spent, even
// where the picture turns out to be of no use. One that is bound to an operation or a
// collection opens for no other; that is found out before it is decrypted and leaves it
// unspent, but what it says can be believed only because it was decrypted then.
func (o *Opener) Open(ctx context.Context, token []byte, p ports.Purpose) ([]byte, error) {
	picture, err := o.open(ctx, token, p)
	var r *refusal
	if errors.As(err, &r) && o.onRefused != nil {
		o.onRefused(string(r.reason))
	}
	return picture, err
}

func (o *Opener) open(ctx context.Context, token []byte, p ports.Purpose) ([]byte, error) {
	keys := o.keys.Load()
	if keys == nil {
		return nil, refuse(NotEnabled, "token.keys_file is not set")
	}
	if len(token) > o.limit/3*4+4+overhead {
		return nil, refuse(TooLarge, "it exceeds the limit")
	}
	c, err := o.examine(token, *keys, p)
	if err != nil {
		return nil, err
	}
	picture, err := o.decrypt(ctx, token, c)
	if err != nil {
		return nil, err
	}
	if err := o.spend(c); err != nil {
		return nil, err
	}
	return picture, nil
}

// candidate is a token of which all is in order that can be seen from outside.
type candidate struct {
	parts  compact
	header header
	key    jose.JSONWebKey
	end    time.Time // of its validity
}

// examine checks what costs nothing, before anything is decrypted. That is no
// leak: it looks only at what is plain to whoever has the token.
func (o *Opener) examine(token []byte, keys keyset, p ports.Purpose) (c candidate, err error) {
	if c.parts, err = split(token, o.limit); err != nil {
		return c, err
	}
	if c.header, err = c.parts.parseHeader(); err != nil {
		return c, err
	}
	if err := c.header.checkPurpose(p); err != nil {
		return c, err
	}
	if c.key, err = keys.find(c.header); err != nil {
		return c, err
	}
	if c.end, err = o.validity.check(c.header, o.now()); err != nil {
		return c, err
	}
	if o.opened != nil && (c.header.ID == "" || len(c.header.ID) > maxID) {
		return c, refuse(NoID, "it has no jti, or one that is too long")
	}
	return c, nil
}

// decrypt waits for its turn, since decryption holds the picture several times
// over for a moment, or gives up with ctx.
func (o *Opener) decrypt(ctx context.Context, token []byte, c candidate) ([]byte, error) {
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
		return decrypt(token, c.parts, c.key)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// spend sees to it that a token is opened once. It comes last: what a header
// says can be believed when the content has been decrypted.
func (o *Opener) spend(c candidate) error {
	if o.opened == nil {
		return nil
	}
	return o.opened.add(idOf(c.header), c.end, o.now())
}
