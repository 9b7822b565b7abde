package gallery

import (
	"slices"

	"imago/ports"
)

// Inventory is the name of the collection of users, the one that exists in
// every configuration.
const Inventory = ports.Inventory

// checkUserID refuses what cannot be a user's ID in any collection.
func (g *Gallery) checkUserID(id string) error { return ports.CheckUserID(id, g.lists...) }

// namesOf returns the names of lists.
func namesOf(lists []Collection) []string {
	names := make([]string, 0, len(lists))
	for _, c := range lists {
		names = append(names, c.Name)
	}
	return slices.Clip(names)
}

func refuse(reason string) error { return ports.Refuse(ports.ErrInvalid, reason) }
