package gallery

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"imago/ports"
)

// Inventory is the name of the collection of users, the one that exists in
// every configuration.
const Inventory = "users"

// maxUserIDBytes is the longest user ID, in bytes of UTF-8.
const maxUserIDBytes = 256

// reservedUserIDs are path segments of the API below /users; list names are
// reserved as well.
var reservedUserIDs = []string{"search", "faces"}

// checkUserID refuses what cannot be a user's ID in any collection.
func (g *Gallery) checkUserID(id string) error {
	switch {
	case id == "":
		return refuse("userId must not be empty")
	case len(id) > maxUserIDBytes:
		return refuse(fmt.Sprintf("userId must not be longer than %d bytes", maxUserIDBytes))
	case !utf8.ValidString(id):
		return refuse("userId must be valid UTF-8")
	case hasControl(id):
		return refuse("userId must not contain control characters")
	case slices.Contains(reservedUserIDs, id) || g.isList(id):
		return refuse(fmt.Sprintf("userId %q is reserved", id))
	}
	return nil
}

func hasControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return true
		}
	}
	return false
}

// isList reports whether name is a configured collection other than the inventory.
func (g *Gallery) isList(name string) bool {
	_, ok := g.collections[name]
	return ok && name != Inventory
}

func refuse(reason string) error { return ports.Refuse(ports.ErrInvalid, reason) }
