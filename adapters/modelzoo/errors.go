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

// unknown is the error for a name that no manifest has.
func (z *Zoo) unknown(name string) error {
	var names []string
	entries, _ := z.List()
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return ports.Refuse(ports.ErrNotFound, fmt.Sprintf("there is no model %s; the models are %s; a manifest %s%s in %s adds one",
		name, strings.Join(names, ", "), name, manifestSuffix, z.dir))
}

// missing is the error for a model whose file is absent.
func (z *Zoo) missing(m config.Manifest) error {
	remedy := fmt.Sprintf("run \"imago models pull %s\" or set IMAGO_MODELS_DIR to the folder that holds it", m.Name)
	if len(m.Sources) == 0 {
		remedy = "its manifest names no source, so put the file there or set IMAGO_MODELS_DIR to the folder that holds it"
	}
	return ports.Refuse(ports.ErrNotFound, fmt.Sprintf("%s, the file of model %s, is not in %s; %s", m.File, m.Name, z.dir, remedy))
}

// noSource is the error of pulling a model whose manifest names no source.
func (z *Zoo) noSource(m config.Manifest) error {
	return ports.Refuse(ports.ErrInvalid, fmt.Sprintf("the manifest of model %s names no source to pull from; put %s into %s yourself", m.Name, m.File, z.dir))
}

// wrongFile is the error for a network file that does not match the manifest.
func wrongFile(m config.Manifest, got, want any) error {
	return ports.Refuse(ports.ErrInvalid, fmt.Sprintf("%s, the file of model %s, has %v, but the manifest says %v; run \"imago models pull %s\" to fetch it again or correct the manifest", m.File, m.Name, got, want, m.Name))
}

// wrap adds the package name to an error; a Refusal stays as it is.
func wrap(err error) error {
	if err == nil || errors.As(err, new(*ports.Refusal)) {
		return err
	}
	return fmt.Errorf("modelzoo: %w", err)
}

// failure is why a download from a source failed.
type failure struct {
	cause error
	class class
}

// class decides whether a failed source is retried.
type class int

const (
	failPermanent   class = iota // no retry
	failUnreachable              // other sources first, this one again later
	failTemporary                // retry the same source
	failNotFound                 // no retry: the source has no such file
	failMismatch                 // no retry: the source has another file
)

func (f *failure) Error() string { return f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

func fail(c class, format string, args ...any) error {
	return &failure{fmt.Errorf(format, args...), c}
}

// unreachable turns a temporary failure into one that happened before any response.
func unreachable(err error) error {
	if isTemporary(err) {
		return &failure{err, failUnreachable}
	}
	return err
}

func isTemporary(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.class == failTemporary
}

// sourcesError is the error when every source of a model failed, with the reason of each.
type sourcesError struct {
	manifest config.Manifest
	failures []*failure
}

// maxCause bounds the message for one source, in bytes.
const maxCause = 300

// Error has a line for each source.
func (u *sourcesError) Error() string {
	text := fmt.Sprintf("%s, the file of model %s, cannot be downloaded; no wrong file was kept", u.manifest.File, u.manifest.Name)
	for i, f := range u.failures {
		text += fmt.Sprintf("\n  %s: %s", u.manifest.Sources[i], oneLine(f.Error(), maxCause))
	}
	return text
}

// Unwrap returns the kind and the causes. A timeout of a source must not look like
// the end of the caller's context.
func (u *sourcesError) Unwrap() []error {
	all := []error{u.kind()}
	for _, f := range u.failures {
		if !errors.Is(f, context.Canceled) && !errors.Is(f, context.DeadlineExceeded) {
			all = append(all, f)
		}
	}
	return all
}

// kind is the sentinel for all sources together: ErrUnavailable as long as a retry of one of
// them may succeed.
func (u *sourcesError) kind() error {
	kind := ports.ErrNotFound
	for _, f := range u.failures {
		switch f.class {
		case failNotFound:
		case failMismatch:
			kind = ports.ErrInvalid
		default:
			return ports.ErrUnavailable
		}
	}
	return kind
}

// oneLine collapses a text into one line of at most most bytes.
func oneLine(text string, most int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " …"
	}
	return text
}

// classify wraps an error of a pull so that callers can match it: the context's error once
// that has ended, a Refusal as it is, a sourcesError with its sentinel, an error of package os
// as it is.
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
