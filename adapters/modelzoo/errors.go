package modelzoo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imago/config"
	"imago/ports"
)

// unknown refuses a name that no manifest has.
func (z *Zoo) unknown(name string) error {
	var names []string
	entries, _ := z.List()
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return ports.Refuse(ports.ErrNotFound, fmt.Sprintf("there is no model %s; the models are %s; a manifest %s%s in %s adds one",
		name, strings.Join(names, ", "), name, manifestSuffix, z.dir))
}

// missing refuses a model without its file.
func (z *Zoo) missing(m config.Manifest) error {
	remedy := fmt.Sprintf("run \"imago models pull %s\" or set IMAGO_MODELS_DIR to the folder that holds it", m.Name)
	if m.Source == "" {
		remedy = "its manifest names no source, so put the file there or set IMAGO_MODELS_DIR to the folder that holds it"
	}
	return ports.Refuse(ports.ErrNotFound, fmt.Sprintf("%s, the file of model %s, is not in %s; %s", m.File, m.Name, z.dir, remedy))
}

// sourceless refuses to pull a model whose manifest does not say from where.
func (z *Zoo) sourceless(m config.Manifest) error {
	return ports.Refuse(ports.ErrInvalid, fmt.Sprintf("the manifest of model %s names no source to pull from; put %s into %s yourself", m.Name, m.File, z.dir))
}

func wrongSize(m config.Manifest, size int64) error {
	return wrongFile(m, fmt.Sprintf("%d bytes", size), fmt.Sprint(m.Size))
}

func wrongDigest(m config.Manifest, sum string) error {
	return wrongFile(m, "SHA-256 "+sum, m.SHA256)
}

func wrongFile(m config.Manifest, got, want string) error {
	return ports.Refuse(ports.ErrInvalid, fmt.Sprintf("%s, the file of model %s, has %s, but the manifest says %s; run \"imago models pull %s\" to fetch it again or correct the manifest", m.File, m.Name, got, want, m.Name))
}

// wrongSource refuses what a download brought.
func wrongSource(m config.Manifest, what string) error {
	return ports.Refuse(ports.ErrInvalid, fmt.Sprintf("what %s answers is not the file of model %s: %s; nothing was kept", m.Source, m.Name, what))
}

// gone refuses a source that has no file.
func gone(m config.Manifest, status string) error {
	return ports.Refuse(ports.ErrNotFound, fmt.Sprintf("%s, the source of model %s, is not there: the server answered %s", m.Source, m.Name, status))
}

func invalid(err error) error { return fmt.Errorf("modelzoo: %w: %w", ports.ErrInvalid, err) }

// wrap says where an error comes from; a refusal stays as it is.
func wrap(err error) error {
	if err == nil || errors.As(err, new(*ports.Refusal)) {
		return err
	}
	return fmt.Errorf("modelzoo: %w", err)
}

// network is a failure between imago and the source. One that is temporary may
// be gone at the next attempt.
type network struct {
	cause     error
	temporary bool
}

func (n *network) Error() string { return n.cause.Error() }
func (n *network) Unwrap() error { return n.cause }

func temporary(format string, args ...any) error {
	return &network{cause: fmt.Errorf(format, args...), temporary: true}
}

func permanent(format string, args ...any) error {
	return &network{cause: fmt.Errorf(format, args...)}
}

func isTemporary(err error) bool {
	var n *network
	return errors.As(err, &n) && n.temporary
}

// classify gives an error of a pull the kind that callers look for: the
// context's error once that has ended, a refusal as it is, ErrUnavailable for
// the network; what the local file system says stays as it is.
func classify(ctx context.Context, m config.Manifest, err error) error {
	var failure *network
	switch {
	case err == nil || errors.As(err, new(*ports.Refusal)):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("modelzoo: pull %s: %w", m.Name, ctx.Err())
	case errors.As(err, &failure):
		return fmt.Errorf("modelzoo: pull %s from %s: %w: %w", m.Name, m.Source, ports.ErrUnavailable, failure.cause)
	default:
		return fmt.Errorf("modelzoo: pull %s: %w", m.Name, err)
	}
}
