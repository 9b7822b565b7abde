package token

import (
	"fmt"

	"imago/ports"
)

// Reason says why a token was refused. It is for the log and the metrics: the
// caller is told only that the token is not valid, because the difference
// between reasons helps those who try.
type Reason string

// The reasons.
const (
	// NotEnabled means that no file of keys is configured.
	NotEnabled Reason = "not_enabled"
	// Malformed means that it is no JWE in compact serialization.
	Malformed Reason = "malformed"
	// TooLarge means that a part of it exceeds its limit.
	TooLarge Reason = "too_large"
	// Unsupported means that its header asks for something that imago does not
	// do: another algorithm, compression, an extension, another content.
	Unsupported Reason = "unsupported"
	// WrongPurpose means that it is bound to another operation or collection.
	WrongPurpose Reason = "wrong_purpose"
	// UnknownKey means that its kid is absent or not among the keys.
	UnknownKey Reason = "unknown_key"
	// WrongAlgorithm means that its algorithm is not the one of its key.
	WrongAlgorithm Reason = "wrong_algorithm"
	// Undecryptable means that the key does not open it, or that it was changed.
	Undecryptable Reason = "undecryptable"
	// NoTime means that it does not say when it was issued.
	NoTime Reason = "no_time"
	// NotYetValid means that it comes from the future.
	NotYetValid Reason = "not_yet_valid"
	// Expired means that it is past its exp or older than the maximum.
	Expired Reason = "expired"
	// NoID means that it has no jti although repeated tokens are to be refused.
	NoID Reason = "no_id"
	// Replayed means that it was opened before.
	Replayed Reason = "replayed"
	// CacheFull means that no more tokens can be remembered.
	CacheFull Reason = "replay_cache_full"
)

// Reasons lists every Reason.
func Reasons() []Reason {
	return []Reason{
		NotEnabled, Malformed, TooLarge, Unsupported, WrongPurpose, UnknownKey, WrongAlgorithm, Undecryptable,
		NoTime, NotYetValid, Expired, NoID, Replayed, CacheFull,
	}
}

// refusal is the error of a token that is not accepted. It unwraps to
// ErrInvalid and never contains a part of the plaintext or of a key.
type refusal struct {
	reason Reason
	detail string
}

func refuse(reason Reason, detail string) error { return &refusal{reason, detail} }

func refusef(reason Reason, format string, args ...any) error {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// Error returns the reason and what is known of it.
func (r *refusal) Error() string { return "token: " + string(r.reason) + ": " + r.detail }

// Unwrap classifies every refusal as invalid input.
func (r *refusal) Unwrap() error { return ports.ErrInvalid }
