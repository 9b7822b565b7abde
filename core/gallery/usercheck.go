package gallery

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"imago/core/naming"
	"imago/ports"
)

// maxExamples is how many users of a kind a UserCheck names.
const maxExamples = 5

// UserCheck finds the enrolled users that no request reaches. NewUserCheck makes one.
type UserCheck struct {
	lists   []Collection
	current ports.Record // the last one that was added
	counted bool         // the current user is in Ownerless

	// NamedAsList are users with the name of a list, InvalidID those whose ID an earlier
	// version accepted and this one does not, Ownerless those of shared lists that belong
	// to no client or to several, Unconfigured those of collections that are not
	// configured any more.
	NamedAsList, InvalidID, Ownerless, Unconfigured Unreachable
}

// Unreachable counts users of one kind and holds the first of them.
type Unreachable struct {
	Count    int
	Examples []UnreachableUser
}

// UnreachableUser is a user that no request reaches.
type UnreachableUser struct {
	Collection, UserID string
	// Reason says why.
	Reason string
}

// String names the user for an operator, with invisible characters escaped.
func (s UnreachableUser) String() string {
	return strconv.QuoteToASCII(s.UserID) + " in " + s.Collection + " (" + s.Reason + ")"
}

func (s *Unreachable) add(r ports.Record, reason string) {
	s.Count++
	if len(s.Examples) < maxExamples {
		s.Examples = append(s.Examples, UnreachableUser{strings.Clone(r.Collection), strings.Clone(r.UserID), reason})
	}
}

// NewUserCheck returns a UserCheck for a configuration with those lists.
func NewUserCheck(lists []Collection) *UserCheck { return &UserCheck{lists: lists} }

// Add takes the next record, in the order of a scan. Vectors are not needed.
func (c *UserCheck) Add(r ports.Record) {
	fresh := c.current.Collection != r.Collection || c.current.UserID != r.UserID
	if fresh {
		c.checkName(r)
	}
	c.checkOwner(r, fresh)
	c.current = ports.Record{Collection: strings.Clone(r.Collection), UserID: strings.Clone(r.UserID), Owner: strings.Clone(r.Owner)}
}

// checkName checks the ID and the collection of a user.
func (c *UserCheck) checkName(r ports.Record) {
	names := namesOf(c.lists)
	if r.Collection != naming.Inventory && !slices.Contains(names, r.Collection) {
		c.Unconfigured.add(r, "it is not configured")
		return
	}
	word := naming.Reserved(r.UserID, names...)
	if slices.Contains(names, word) {
		c.NamedAsList.add(r, "the list "+word)
		return
	}
	if err := naming.CheckUserID(r.UserID); err != nil {
		c.InvalidID.add(r, err.Error())
	}
}

// checkOwner checks the owner of a face in a shared list.
func (c *UserCheck) checkOwner(r ports.Record, fresh bool) {
	if fresh {
		c.counted = false
	}
	shared := slices.ContainsFunc(c.lists, func(l Collection) bool { return l.Shared && l.Name == r.Collection })
	if !shared || c.counted {
		return
	}
	switch {
	case r.Owner == "":
		c.Ownerless.add(r, reasonNoOwner)
	case !fresh && r.Owner != c.current.Owner:
		c.Ownerless.add(r, reasonSeveralOwners)
	default:
		return
	}
	c.counted = true
}

const (
	reasonNoOwner       = "it has a face without an owner, whom the list, which is shared, would show to nobody"
	reasonSeveralOwners = "its faces have several owners, and the list, which is shared, would show it to none of them"
)

// Err returns an error if a list has the name of a user, in any case: the configuration
// makes that user unreachable.
func (c *UserCheck) Err() error {
	if c.NamedAsList.Count == 0 {
		return nil
	}
	return fmt.Errorf("%d enrolled users have the name of a list, so that no request could reach them and nobody erase them: %s; "+
		"give the list another name in collections, or remove each user with `imago unenrol USER --collection LIST`",
		c.NamedAsList.Count, c.NamedAsList.names())
}

// Warnings describes the other users, a sentence for each kind. It names them only if
// named is set, because IDs may be personal data.
func (c *UserCheck) Warnings(named bool) (all []string) {
	for _, one := range []struct {
		Unreachable
		text string
	}{
		{c.InvalidID, "%d users have IDs that are not accepted any more: searches find them, but requests about them are refused; " +
			"remove each with `imago unenrol USER --collection LIST` and enrol it under another ID"},
		{c.Ownerless, "%d users of shared lists belong to no client or to several: searches find them, but no client sees or removes them; " +
			"remove each with `imago unenrol USER --collection LIST` and enrol it again"},
		{c.Unconfigured, "%d users are in collections that are not configured: no request reaches them; " +
			"configure the collection again, or remove each with `imago unenrol USER --collection LIST`"},
	} {
		if one.Count == 0 {
			continue
		}
		text := fmt.Sprintf(one.text, one.Count)
		if named {
			text += ": " + one.names()
		}
		all = append(all, text)
	}
	return all
}

func (s Unreachable) names() string {
	var names []string
	for _, e := range s.Examples {
		names = append(names, e.String())
	}
	if more := s.Count - len(s.Examples); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// RejectUnreachable returns a function that says why the faces of a user from elsewhere
// would be unreachable in a configuration with those lists, "" if they would not. Faces
// for a shared list that have no owner or several get the given owner, if there is one.
func RejectUnreachable(lists []Collection, owner string) func(faces []ports.Record) (reason string) {
	return func(faces []ports.Record) string {
		if err := naming.CheckUserID(faces[0].UserID, namesOf(lists)...); err != nil {
			return "its ID is not accepted: " + err.Error()
		}
		c := NewUserCheck(lists)
		for _, r := range faces {
			c.Add(r)
		}
		if c.Ownerless.Count == 0 {
			return ""
		}
		if owner == "" {
			return c.Ownerless.Examples[0].Reason + "; --owner gives such users to a client"
		}
		for i := range faces {
			faces[i].Owner = owner
		}
		return ""
	}
}
