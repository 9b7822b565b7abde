package gallery

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"imago/ports"
)

// maxExamples is how many users of a kind a Census names.
const maxExamples = 5

// Census looks at what is enrolled for users whom no request reaches: those who have the
// name of a list, those whose ID an earlier imago took and this one does not, and those
// of shared lists who are no client's. Its zero value is not ready; see NewCensus.
type Census struct {
	lists   []Collection
	current ports.Record // the last one that was added
	strays  bool         // the current user has been counted as ownerless

	Shadowed, Misnamed, Ownerless Strays
	// Unlisted are users of collections that are not configured any more.
	Unlisted Strays
}

// Strays are users of one kind: how many there are, and the first of them.
type Strays struct {
	Count    int
	Examples []Stray
}

// Stray is a user whom no request reaches.
type Stray struct {
	Collection, UserID string
	// Reason says why.
	Reason string
}

// String names the user for an operator, with escapes for all that cannot be seen.
func (s Stray) String() string {
	return strconv.QuoteToASCII(s.UserID) + " in " + s.Collection + " (" + s.Reason + ")"
}

func (s *Strays) add(r ports.Record, reason string) {
	s.Count++
	if len(s.Examples) < maxExamples {
		s.Examples = append(s.Examples, Stray{strings.Clone(r.Collection), strings.Clone(r.UserID), reason})
	}
}

// NewCensus returns a census for a configuration with those lists.
func NewCensus(lists []Collection) *Census { return &Census{lists: lists} }

// Add takes the next record. Those of a collection are added one after the other, in the
// order of a scan; vectors need not be there.
func (c *Census) Add(r ports.Record) {
	fresh := c.current.Collection != r.Collection || c.current.UserID != r.UserID
	if fresh {
		c.name(r)
	}
	c.own(r, fresh)
	c.current = ports.Record{Collection: strings.Clone(r.Collection), UserID: strings.Clone(r.UserID), Owner: strings.Clone(r.Owner)}
}

// name judges the ID and the collection of a user.
func (c *Census) name(r ports.Record) {
	names := namesOf(c.lists)
	if r.Collection != Inventory && !slices.Contains(names, r.Collection) {
		c.Unlisted.add(r, "it is not configured")
		return
	}
	word := ports.Reserved(r.UserID, names...)
	if slices.Contains(names, word) {
		c.Shadowed.add(r, "the list "+word)
		return
	}
	if err := ports.CheckUserID(r.UserID); err != nil {
		c.Misnamed.add(r, reasonOf(err))
	}
}

// own judges the owner of a face in a shared list.
func (c *Census) own(r ports.Record, fresh bool) {
	if fresh {
		c.strays = false
	}
	shared := slices.ContainsFunc(c.lists, func(l Collection) bool { return l.Shared && l.Name == r.Collection })
	if !shared || c.strays {
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
	c.strays = true
}

const (
	reasonNoOwner       = "it has a face without an owner, whom the list, which is shared, would show to nobody"
	reasonSeveralOwners = "its faces have several owners, and the list, which is shared, would show it to none of them"
)

// reasonOf returns what a Refusal says.
func reasonOf(err error) string {
	if refusal := (*ports.Refusal)(nil); errors.As(err, &refusal) {
		return strings.Join(refusal.Reasons, "; ")
	}
	return err.Error()
}

// Err refuses a configuration that makes users unreachable: a list has the name of a
// user, in any case.
func (c *Census) Err() error {
	if c.Shadowed.Count == 0 {
		return nil
	}
	return fmt.Errorf("%d enrolled users have the name of a list, so that no request could reach them and nobody erase them: %s; "+
		"give the list another name in collections, or remove each user with `imago unenrol USER --collection LIST`",
		c.Shadowed.Count, c.Shadowed.names())
}

// Warnings says which other users need an operator, in sentences that name them where
// that is wanted: IDs may be personal data.
func (c *Census) Warnings(named bool) (all []string) {
	for _, one := range []struct {
		Strays
		text string
	}{
		{c.Misnamed, "%d users have IDs that are not accepted any more: searches find them, but requests about them are refused; " +
			"remove each with `imago unenrol USER --collection LIST` and enrol it under another ID"},
		{c.Ownerless, "%d users of shared lists belong to no client or to several: searches find them, but no client sees or removes them; " +
			"remove each with `imago unenrol USER --collection LIST` and enrol it again"},
		{c.Unlisted, "%d users are in collections that are not configured: no request reaches them; " +
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

func (s Strays) names() string {
	var names []string
	for _, e := range s.Examples {
		names = append(names, e.String())
	}
	if more := s.Count - len(s.Examples); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// Admission returns what says why the faces of a user cannot be taken over from
// elsewhere into a configuration with those lists, "" where they can. Where an owner is
// given, faces for a shared list that have none or several get it.
func Admission(lists []Collection, owner string) func(faces []ports.Record) (reason string) {
	return func(faces []ports.Record) string {
		if err := ports.CheckUserID(faces[0].UserID, namesOf(lists)...); err != nil {
			return "its ID is not accepted: " + reasonOf(err)
		}
		c := NewCensus(lists)
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
