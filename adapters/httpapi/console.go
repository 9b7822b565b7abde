package httpapi

import "net/http"

// serveConsole hands over to the page or its part of that name, where there is
// one. The page asks for a key itself and sends it with the calls that it makes.
func (s *Server) serveConsole(x *exchange, r *http.Request) error {
	file := r.PathValue("file")
	page, ok := s.console[file]
	// The page has one address: its relative links start from there.
	if !ok || file == "" && r.URL.Path != "/console" {
		return errNoPath
	}
	page.ServeHTTP(x, r)
	return nil
}
