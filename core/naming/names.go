package naming

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Inventory is the name of the collection of users, the one that exists in every
// configuration. All others are lists.
const Inventory = "users"

// The forms of names, in words.
const (
	CollectionForm = "1 to 64 of a-z, 0-9, - and _"
	ClientForm     = "1 to 64 of A-Z, a-z, 0-9, ., _ and -"
)

var clientName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// CheckCollection returns an error unless a collection, be it the inventory or a list,
// can have a name.
func CheckCollection(name string) error {
	if len(name) < 1 || len(name) > 64 || strings.ContainsFunc(name, notOfCollection) {
		return errors.New("the name of a collection must be " + CollectionForm)
	}
	return nil
}

// notOfCollection is by hand because every call of a store checks a name: a regular
// expression takes ten times as long.
func notOfCollection(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// CheckList returns an error unless a list can have a name: that of a collection
// which means nothing else in the paths of the API.
func CheckList(name string) error {
	if err := CheckCollection(name); err != nil {
		return err
	}
	if slices.Contains(ReservedWords(), name) {
		return fmt.Errorf("the name of a list must be none of %s", strings.Join(ReservedWords(), ", "))
	}
	return nil
}

// CheckClient returns an error unless a client of the API can have a name.
func CheckClient(name string) error {
	if !clientName.MatchString(name) {
		return errors.New("the name of a client must be " + ClientForm)
	}
	return nil
}

// ReservedWords are those that mean something else in the paths of the API, where the
// name of a user or a list would stand.
func ReservedWords() []string { return []string{Inventory, "search", "faces", "verify"} }

// maxID is the length of the longest ID in bytes.
const maxID = 256

// CheckID returns an error unless a store takes a text as the ID of a user or a face or
// as the name of an owner. It takes more than CheckUserID, because what an earlier imago
// has enrolled must stay erasable. The error does not quote the ID, which may be
// somebody's personal number.
func CheckID(id string) error {
	switch {
	case len(id) < 1 || len(id) > maxID:
		return fmt.Errorf("must be 1 to %d bytes long, not %d", maxID, len(id))
	case !utf8.ValidString(id):
		return errors.New("must be valid UTF-8")
	case strings.ContainsFunc(id, unicode.IsControl):
		return errors.New("must not contain control characters")
	}
	return nil
}
