package ports

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of IDs, names and queries.
const (
	maxID         = 256
	maxCollection = 64
	maxK          = 1000
)

// unitTolerance is how far the length of a vector may be from 1. It is far
// above the rounding of a float32 normalisation and far below anything that
// would shift a score visibly.
const unitTolerance = 1e-3

// ValidateRecord returns an error around ErrInvalid unless a record is what
// VectorStore's comment says of one, with a vector of the given dimension.
// Stores call these functions so that all refuse the same.
func ValidateRecord(r Record, dimension int) error {
	if err := ValidateUser(r.Collection, r.UserID); err != nil {
		return err
	}
	if err := checkID("face ID", r.FaceID); err != nil {
		return err
	}
	if r.Owner != "" {
		if err := checkID("owner", r.Owner); err != nil {
			return err
		}
	}
	return checkVector(r.Vector, dimension)
}

// ValidateMode returns an error around ErrInvalid unless mode is one of Add's.
func ValidateMode(mode Mode) error {
	if base := mode.Base(); base < First || base > Replacement || base == First && mode.IfOwner() {
		return invalid("unknown mode %d", mode)
	}
	return nil
}

// ValidateRemoval is ValidateRecord for the arguments of Remove.
func ValidateRemoval(collection, user, owner string) error {
	if err := ValidateUser(collection, user); err != nil || owner == "" {
		return err
	}
	return checkID("owner", owner)
}

// ValidateUser is ValidateRecord for the name of a user.
func ValidateUser(collection, user string) error {
	if err := ValidateCollection(collection); err != nil {
		return err
	}
	return checkID("user ID", user)
}

// ValidateQuery is ValidateRecord for a query.
func ValidateQuery(q Query, dimension int) error {
	if err := ValidateCollection(q.Collection); err != nil {
		return err
	}
	if q.K < 1 || q.K > maxK {
		return invalid("k is %d, not 1 to %d", q.K, maxK)
	}
	if !(q.MinScore >= -1 && q.MinScore <= 1) {
		return invalid("the minimum score is not between -1 and 1")
	}
	return checkVector(q.Vector, dimension)
}

// ValidateSelection is ValidateRecord for the argument of Scan. From is not judged:
// any text has a place in the order of IDs.
func ValidateSelection(s Selection) error {
	if err := ValidateCollection(s.Collection); err != nil {
		return err
	}
	if owner, one := s.Owners.Only(); one {
		return checkID("owner", owner)
	}
	return nil
}

// ValidateCollection is ValidateRecord for the name of a collection.
func ValidateCollection(name string) error {
	if len(name) < 1 || len(name) > maxCollection {
		return invalid("a collection name of %d characters", len(name))
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return invalid("a collection name with other characters than a-z, 0-9, '-' and '_'")
		}
	}
	return nil
}

// checkID never quotes the ID: it may be somebody's personal number.
func checkID(what, id string) error {
	switch {
	case len(id) < 1 || len(id) > maxID:
		return invalid("%s of %d bytes, not 1 to %d", what, len(id), maxID)
	case !utf8.ValidString(id):
		return invalid("%s that is not UTF-8", what)
	case strings.ContainsFunc(id, unicode.IsControl):
		return invalid("%s with control characters", what)
	}
	return nil
}

func checkVector(v []float32, dimension int) error {
	if len(v) != dimension {
		return invalid("a vector of %d numbers where the space has %d", len(v), dimension)
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
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}
