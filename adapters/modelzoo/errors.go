package modelzoo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

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
	if len(m.Sources) == 0 {
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

func invalid(err error) error { return fmt.Errorf("modelzoo: %w: %w", ports.ErrInvalid, err) }

// wrap says where an error comes from; a refusal stays as it is.
func wrap(err error) error {
	if err == nil || errors.As(err, new(*ports.Refusal)) {
		return err
	}
	return fmt.Errorf("modelzoo: %w", err)
}

// failure is why a source has not brought the file.
type failure struct {
	cause error
	class class
}

// class says what can be done about a failure.
type class int

const (
	lasting   class = iota // nothing
	unreached              // another source first, the same one again later
	broken                 // the same source again
	missed                 // nothing: the source has no such file
	differs                // nothing: the source has another file
)

func (f *failure) Error() string { return f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

func permanent(format string, args ...any) error {
	return &failure{fmt.Errorf(format, args...), lasting}
}

func temporary(format string, args ...any) error {
	return &failure{fmt.Errorf(format, args...), broken}
}

func absent(format string, args ...any) error {
	return &failure{fmt.Errorf(format, args...), missed}
}

func other(format string, args ...any) error {
	return &failure{fmt.Errorf(format, args...), differs}
}

// unreachable makes of a temporary failure one that came before any answer.
func unreachable(err error) error {
	if isTemporary(err) {
		return &failure{err, unreached}
	}
	return err
}

func isTemporary(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.class == broken
}

// unobtainable says of each source of a model why it failed.
type unobtainable struct {
	manifest config.Manifest
	failures []*failure
}

// maxCause bounds what is told of one source, in bytes.
const maxCause = 300

// Error has a line for each source.
func (u *unobtainable) Error() string {
	text := fmt.Sprintf("%s, the file of model %s, cannot be had; nothing wrong was kept", u.manifest.File, u.manifest.Name)
	for i, f := range u.failures {
		text += fmt.Sprintf("\n  %s: %s", u.manifest.Sources[i], oneLine(f.Error(), maxCause))
	}
	return text
}

// Unwrap returns the kind and the causes. A time limit of a source's own must not look
// like the end of the caller's context.
func (u *unobtainable) Unwrap() []error {
	all := []error{u.kind()}
	for _, f := range u.failures {
		if !errors.Is(f, context.Canceled) && !errors.Is(f, context.DeadlineExceeded) {
			all = append(all, f)
		}
	}
	return all
}

// kind is the sentinel that fits all sources together: as long as one could not be
// asked properly, another time may be better.
func (u *unobtainable) kind() error {
	kind := ports.ErrNotFound
	for _, f := range u.failures {
		switch f.class {
		case missed:
		case differs:
			kind = ports.ErrInvalid
		default:
			return ports.ErrUnavailable
		}
	}
	return kind
}

// oneLine makes a text fit for one line of at most so many bytes.
func oneLine(text string, most int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " …"
	}
	return text
}

// classify gives an error of a pull the kind that callers look for: the
// context's error once that has ended, a refusal as it is, one of the sentinels for
// what the sources did; what the local file system says stays as it is.
func classify(ctx context.Context, m config.Manifest, err error) error {
	switch {
	case err == nil || errors.As(err, new(*ports.Refusal)):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("modelzoo: pull %s: %w", m.Name, ctx.Err())
	default:
		return fmt.Errorf("modelzoo: pull %s: %w", m.Name, err)
	}
}
