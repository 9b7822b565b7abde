package config

import (
	"fmt"
	"log/slog"
)

// Secret is a text that must not be shown: passwords, keys, connection strings
// that hold one. It prints as *** however it is formatted, logged or marshalled;
// Reveal is the one way to its content. Keep it in exported fields: package fmt
// cannot call methods on unexported ones.
type Secret string

const mask = "***"

// Reveal returns the content.
func (s Secret) Reveal() string { return string(s) }

// String returns ***, so that the content does not slip into text.
func (s Secret) String() string { return mask }

// GoString returns *** for %#v.
func (s Secret) GoString() string { return mask }

// Format writes *** for every verb; without it, a verb that does not suit
// strings would print the content as part of its complaint.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// MarshalText returns *** for JSON, YAML and every other encoding that asks for
// text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// LogValue returns *** for structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }
