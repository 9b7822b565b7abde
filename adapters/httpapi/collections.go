package httpapi

import (
	"net/http"
	"slices"

	"imago/config"
	"imago/ports"
)

// anyKey admits every valid key.
func anyKey(ports.Client, *http.Request) (string, error) { return "", nil }

// collections serves GET /collections: those that the key may use, and for
// what.
func (s *Server) collections(x *exchange, r *http.Request, c caller) error {
	if err := checkQuery(r.URL.Query()); err != nil {
		return err
	}
	out := collectionList{Collections: []collection{}}
	for _, one := range append([]config.Collection{{Name: inventory}}, s.lists...) {
		if ops := permitted(c.Client, one.Name); len(ops) > 0 {
			found := collection{Name: one.Name, Shared: one.Shared, Operations: ops}
			if slices.Contains(ops, ports.OpSearch) {
				found.MinThreshold = c.MinThreshold
			}
			out.Collections = append(out.Collections, found)
		}
	}
	if err := s.disclose(x); err != nil {
		return err
	}
	writeJSON(x, http.StatusOK, mediaJSON, out)
	return nil
}

// permitted lists what a client may do to a collection.
func permitted(client ports.Client, collection string) (ops []ports.Operation) {
	for _, op := range ports.Operations() {
		if client.May(op, collection) {
			ops = append(ops, op)
		}
	}
	return ops
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
