package memstore

import (
	"github.com/tidwall/btree"

	"imago/ports"
)

// owners are the users of a collection by who enrolled them, so that a client's pages
// cost the same however many users others have between its own. Only collections that
// are asked for them keep them; the nil owners are kept by nobody.
type owners map[string]*btree.Map[string, *user]

// selected returns the users among whom all faces of some owners are.
func (c *collection) selected(o ports.Owners) *btree.Map[string, *user] {
	owner, one := o.Only()
	if !one {
		return &c.users
	}
	if users, ok := c.owners[owner]; ok {
		return users
	}
	return new(btree.Map[string, *user])
}

// sortByOwner begins to keep them.
func (c *collection) sortByOwner() {
	c.owners = owners{}
	c.users.Scan(func(_ string, u *user) bool {
		for _, f := range u.faces {
			c.owners.add(f)
		}
		return true
	})
}

func (o owners) add(f *face) {
	if o == nil {
		return
	}
	users, ok := o[f.owner]
	if !ok {
		users = new(btree.Map[string, *user])
		o[f.owner] = users
	}
	users.Set(f.user.id, f.user)
}

func (o owners) remove(u *user) {
	if o == nil {
		return
	}
	for _, f := range u.faces {
		if users, ok := o[f.owner]; ok {
			users.Delete(u.id)
			if users.Len() == 0 {
				delete(o, f.owner)
			}
		}
	}
}
