package token

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
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
	*reload.Value[keyset] // nil where no file is configured
	limit                 int
	validity              validity
	used                  *replayCache // nil when replays are accepted
	now                   func() time.Time
	slots                 chan struct{} // limits concurrent decryptions

	onRefused func(reason string)
}

// New returns an Opener of pictures of at most imageBytes. Call Start before Open.
func New(cfg config.Token, imageBytes int, log *slog.Logger) *Opener {
	o := &Opener{
		limit: imageBytes, validity: validity{cfg.MaxAge, cfg.ClockSkew}, now: time.Now,
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	o.Value = reload.New(reload.Source[keyset]{
		Component: "token", What: "token keys", Paths: []string{cfg.KeysFile},
		Parse: func(keyset) (keyset, error) {
			warnIfPublic(cfg.KeysFile, log.With("component", "token"))
			return readKeyset(cfg.KeysFile)
		},
		Describe: func(keys keyset) []any { return []any{"keys", len(keys)} },
	}, log)
	if cfg.ReplayCache > 0 {
		o.used = newReplayCache(cfg.ReplayCache)
	}
	return o
}

// OnRefused sets a callback for every rejected token, with one of Reasons. It must be
// called before Start; the callback must not block.
func (o *Opener) OnRefused(f func(reason string)) { o.onRefused = f }

// Open returns the picture in a token (JWE compact serialization). An error is
// that of ctx, or wraps ErrInvalid with the reason for the log, which clients must not
// learn. A token is used up once it is decrypted, even where the picture is then
// rejected. One that is bound to another operation or collection is rejected before
// decryption and stays usable; the binding of an accepted one is authenticated by the
// decryption.
func (o *Opener) Open(ctx context.Context, token []byte, p ports.Purpose) ([]byte, error) {
	picture, err := o.open(ctx, token, p)
	var r *refusal
	if errors.As(err, &r) && o.onRefused != nil {
		o.onRefused(string(r.reason))
	}
	return picture, err
}

func (o *Opener) open(ctx context.Context, token []byte, p ports.Purpose) ([]byte, error) {
	keys := o.Current()
	if keys == nil {
		return nil, refuse(NotEnabled, "token.keys_file is not set")
	}
	if len(token) > o.limit/3*4+4+overhead {
		return nil, refuse(TooLarge, "it exceeds the limit")
	}
	c, err := o.examine(token, keys, p)
	if err != nil {
		return nil, err
	}
	picture, err := o.decrypt(ctx, token, c)
	if err != nil {
		return nil, err
	}
	if err := o.markUsed(c); err != nil {
		return nil, err
	}
	return picture, nil
}

// candidate is a token whose form and protected header are valid.
type candidate struct {
	parts  compact
	header header
	key    jose.JSONWebKey
	end    time.Time // of its validity period
}

// examine makes the cheap checks before decryption. They leak nothing: they look only
// at what is readable to anyone who has the token.
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
	if o.used != nil && (c.header.ID == "" || len(c.header.ID) > maxID) {
		return c, refuse(NoID, "it has no jti, or one that is too long")
	}
	return c, nil
}

// decrypt waits for a slot, since a decryption holds several copies of the picture, or
// until ctx ends.
func (o *Opener) decrypt(ctx context.Context, token []byte, c candidate) ([]byte, error) {
	select {
	case o.slots <- struct{}{}:
		defer func() { <-o.slots }()
		return decrypt(token, c.parts, c.key)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// markUsed makes sure that a token is opened once. It comes last: the header is
// authenticated by the decryption.
func (o *Opener) markUsed(c candidate) error {
	if o.used == nil {
		return nil
	}
	return o.used.add(idOf(c.header), c.end, o.now())
}
