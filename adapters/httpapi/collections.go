package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"imago/adapters/httpapi/body"
	"imago/config"
	"imago/core/naming"
	"imago/ports"
)

// collections are the inventory and the lists, each with the threshold that holds for it.
type collections []config.Collection

func newCollections(o Options) collections {
	all := collections{{Name: naming.Inventory, RequireToken: o.Tokens.RequiredInInventory}}
	all = append(all, o.Lists...)
	for i := range all {
		all[i].Threshold = cmp.Or(all[i].Threshold, o.Search.Threshold)
	}
	return all
}

// list returns the list of a name, which the inventory is not.
func (all collections) list(name string) (list config.Collection, ok bool) {
	i := slices.IndexFunc(all[1:], func(c config.Collection) bool { return c.Name == name })
	if i < 0 {
		return config.Collection{}, false
	}
	return all[1+i], true
}

// checkUserID refuses a path whose user cannot be enrolled anywhere.
func (all collections) checkUserID(r *http.Request) error {
	id := r.PathValue("userId")
	if id == "" {
		return nil // the path has none
	}
	names := make([]string, 0, len(all))
	for _, list := range all[1:] {
		names = append(names, list.Name)
	}
	if err := naming.CheckUserID(id, names...); err != nil {
		return refuse(err.Error())
	}
	return nil
}

// permitted returns the collection that a path names by its list, if the client may
// perform op on it. Only such a client learns that a list does not exist: a misspelt name
// must not look like an empty list.
func (all collections) permitted(client ports.Client, name string, op ports.Operation) (config.Collection, error) {
	if !client.May(op, cmp.Or(name, naming.Inventory)) {
		return config.Collection{}, ports.ErrForbidden
	}
	list, ok := all.list(name)
	switch {
	case ok:
		return list, nil
	case name == "":
		return all[0], nil
	case name == naming.Inventory:
		return list, ports.Refuse(errNoList, `there is no list "users": the paths of the inventory name no list, as in /users/{userId}`)
	}
	return list, ports.Refuse(errNoList, fmt.Sprintf("there is no list %s: GET /collections shows those that the key may use", body.Quote(name)))
}

// searched returns the collections that a request names, if the client may search each of them, with
// the thresholds that a request names or that hold for it.
func (all collections) searched(client ports.Client, in body.Request) (found []config.Collection, wrong mistakes) {
	for _, name := range in.Collections {
		one, err := all.byName(client, name)
		if err != nil {
			if wrong.add(err); len(wrong) == body.MaxReasons {
				return nil, wrong
			}
			continue
		}
		one.Threshold = max(one.Threshold, client.MinThreshold)
		if in.HasThreshold {
			one.Threshold = in.Threshold
		}
		found = append(found, one)
	}
	return found, wrong
}

// byName returns the collection of a name, if the client may search it.
func (all collections) byName(client ports.Client, name string) (config.Collection, error) {
	list := name
	if name == naming.Inventory {
		list = ""
	}
	one, err := all.permitted(client, list, ports.OpSearch)
	if errors.Is(err, ports.ErrForbidden) {
		err = ports.Refuse(ports.ErrForbidden, fmt.Sprintf("the key may not search %s", body.Quote(name)))
	}
	return one, err
}

// show serves GET /collections: those that the key may use, and for what.
func (all collections) show(_ context.Context, x *exchange, r *http.Request, c caller) error {
	if err := checkQuery(r.URL.Query()).err(); err != nil {
		return err
	}
	out := collectionList{Collections: []collection{}}
	for _, one := range all {
		ops := slices.DeleteFunc(ports.Operations(), func(op ports.Operation) bool { return !c.May(op, one.Name) })
		if len(ops) == 0 {
			continue
		}
		found := collection{Name: one.Name, Shared: one.Shared, Operations: ops}
		if slices.Contains(ops, ports.OpSearch) {
			found.MinThreshold = c.MinThreshold
		}
		out.Collections = append(out.Collections, found)
	}
	return x.answer(out)
}

// collectionList is the answer, the inventory first.
type collectionList struct {
	Collections []collection `json:"collections"`
}

type collection struct {
	Name       string            `json:"name"`
	Shared     bool              `json:"shared"`
	Operations []ports.Operation `json:"operations"`
	// MinThreshold is the least that the key may search with; absent for any.
	MinThreshold float64 `json:"minThreshold,omitempty"`
}
