package vectorstore

import (
	"cmp"
	"fmt"
	"math"

	"imago/core/naming"
	"imago/ports"
)

// maxK is the most users that one search may ask for.
const maxK = 1000

// unitTolerance is how far the length of a vector may be from 1. It is far
// above the rounding of a float32 normalisation and far below anything that
// would shift a score visibly.
const unitTolerance = 1e-3

// ValidateRecord returns an error around ports.ErrInvalid unless a record is what the
// comment of ports.VectorStore says of one, with a vector of the given dimension. Like
// all errors of this package it quotes no ID: that may be somebody's personal number.
func ValidateRecord(r ports.Record, dimension int) error {
	err := cmp.Or(validateUser(r.User()), validateID("face ID", r.FaceID))
	if err == nil && r.Owner != "" {
		err = validateID("owner", r.Owner)
	}
	if err == nil && !r.ExpiresAt.IsZero() && (r.ExpiresAt.Unix() <= 0 || r.ExpiresAt.Year() > 9999) {
		err = invalid("an expiry that is not between 1970 and 9999")
	}
	if err == nil && len(r.Chip) > ports.MaxChipBytes {
		err = invalid("a chip of %d bytes, of which there may be %d", len(r.Chip), ports.MaxChipBytes)
	}
	return cmp.Or(err, validateVector(r.Vector, dimension))
}

func validateMode(mode ports.Mode) error {
	if mode.Kind() == 0 {
		return invalid("no mode")
	}
	if score, set := mode.UnlikeScore(); set && !(score >= -1 && score <= 1) {
		return invalid("the score of a resemblance is not between -1 and 1")
	}
	return validateOwners(mode.Owners())
}

func validateOwners(owners ports.Owners) error {
	if owner, one := owners.Only(); one {
		return validateID("owner", owner)
	}
	return nil
}

func validateRemoval(removal ports.Removal) error {
	err := validateUser(removal.User())
	if id, one := removal.Face(); err == nil && one {
		return validateID("face ID", id)
	}
	return err
}

func validateUser(user ports.UserKey) error {
	return cmp.Or(validateCollection(user.Collection), validateID("user ID", user.UserID))
}

func validateQuery(q ports.Query, dimension int) error {
	switch {
	case q.K < 1 || q.K > maxK:
		return invalid("k is %d, not 1 to %d", q.K, maxK)
	case !(q.MinScore >= -1 && q.MinScore <= 1):
		return invalid("the minimum score is not between -1 and 1")
	}
	return cmp.Or(validateCollection(q.Collection), validateVector(q.Vector, dimension))
}

// validateSelection takes any From: every text has a place in the order of IDs.
func validateSelection(s ports.Selection) error {
	return cmp.Or(validateCollection(s.Collection), validateOwners(s.Owners))
}

func validateCollection(name string) error {
	if err := naming.CheckCollection(name); err != nil {
		return invalid("%w", err)
	}
	return nil
}

func validateID(what, id string) error {
	if err := naming.CheckID(id); err != nil {
		return invalid("%s %w", what, err)
	}
	return nil
}

func validateVector(v []float32, dimension int) error {
	if len(v) != dimension {
		return invalid("the vector has dimension %d, and the space %d", len(v), dimension)
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	// Written so that a NaN does not pass.
	if !(math.Abs(math.Sqrt(sum)-1) <= unitTolerance) {
		return invalid("a vector that is not of unit length")
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ports.ErrInvalid}, args...)...)
}
