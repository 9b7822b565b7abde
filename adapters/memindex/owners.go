package memindex

import (
	"slices"

	"github.com/tidwall/btree"

	"imago/ports"
)

// ownerIndex has the users of a collection by owner, so that a client's pages cost the
// same however many users others have between its own. A collection builds it when it is
// first asked for one owner's users; nil means not built.
type ownerIndex map[string]*btree.Map[string, *user]

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

// indexByOwner builds the index.
func (c *collection) indexByOwner() {
	c.owners = ownerIndex{}
	c.users.Scan(func(_ string, u *user) bool {
		for _, f := range u.faces {
			c.owners.add(f)
		}
		return true
	})
}

func (o ownerIndex) add(f *face) {
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

func (o ownerIndex) remove(u *user) {
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

// removeFace is called when the user does not have the face any more.
func (o ownerIndex) removeFace(f *face) {
	if o == nil || slices.ContainsFunc(f.user.faces, func(other *face) bool { return other.owner == f.owner }) {
		return
	}
	o.remove(&user{id: f.user.id, faces: []*face{f}})
}
