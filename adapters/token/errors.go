package token

import (
	"fmt"

	"imago/ports"
)

// Reason says why a token was refused. It is for the log and the metrics: the
// client learns only that the token is not valid, because reasons help an attacker.
type Reason string

// The reasons.
const (
	// NotEnabled means that no file of keys is configured.
	NotEnabled Reason = "not_enabled"
	// Malformed means that it is not a JWE in compact serialization.
	Malformed Reason = "malformed"
	// TooLarge means that a part of it exceeds its limit.
	TooLarge Reason = "too_large"
	// Unsupported means that its header requires an unsupported algorithm, compression,
	// extension or content type.
	Unsupported Reason = "unsupported"
	// WrongPurpose means that it is bound to another operation or collection.
	WrongPurpose Reason = "wrong_purpose"
	// UnknownKey means that its kid is absent or not among the keys.
	UnknownKey Reason = "unknown_key"
	// WrongAlgorithm means that its algorithm is not the one of its key.
	WrongAlgorithm Reason = "wrong_algorithm"
	// Undecryptable means that it was encrypted with another key, or modified.
	Undecryptable Reason = "undecryptable"
	// NoTime means that it has no valid iat.
	NoTime Reason = "no_time"
	// NotYetValid means that its iat or nbf is in the future.
	NotYetValid Reason = "not_yet_valid"
	// Expired means that it is past its exp or older than the maximum.
	Expired Reason = "expired"
	// NoID means that it has no jti although replays are rejected.
	NoID Reason = "no_id"
	// Replayed means that it was used before.
	Replayed Reason = "replayed"
	// CacheFull means that the replay cache is full.
	CacheFull Reason = "replay_cache_full"
)

// Reasons lists every Reason.
func Reasons() []Reason {
	return []Reason{
		NotEnabled, Malformed, TooLarge, Unsupported, WrongPurpose, UnknownKey, WrongAlgorithm, Undecryptable,
		NoTime, NotYetValid, Expired, NoID, Replayed, CacheFull,
	}
}

// refusal is the error of a rejected token. It unwraps to
// ErrInvalid and never contains a part of the plaintext or of a key.
type refusal struct {
	reason Reason
	detail string
}

func refuse(reason Reason, format string, args ...any) error {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// Error returns the reason and the detail.
func (r *refusal) Error() string { return "token: " + string(r.reason) + ": " + r.detail }

// Unwrap makes every refusal ErrInvalid.
func (r *refusal) Unwrap() error { return ports.ErrInvalid }
