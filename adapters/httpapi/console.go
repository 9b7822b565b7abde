package httpapi

import "net/http"

// Console is the page that the API serves, with its parts, by the name below
// /console; "" is /console itself. Names that it lacks are not found.
type Console map[string]http.Handler

// serve hands over to the page or its part of that name, where there is
// one. The page asks for a key itself and sends it with the calls that it makes.
func (c Console) serve(x *exchange, r *http.Request) error {
	file := r.PathValue("file")
	page, ok := c[file]
	// The page has one address: its relative links start from there.
	if !ok || file == "" && r.URL.Path != "/console" {
		return errNoPath
	}
	page.ServeHTTP(x, r)
	return nil
}
