package httpapi

import (
	"net/http"

	"imago/ports"
)

// serveConsole hands over to the console, where there is one. The page asks for
// a key itself and sends it with the calls that it makes.
func (s *Server) serveConsole(x *exchange, r *http.Request) error {
	if s.console == nil {
		return ports.ErrNotFound
	}
	s.console.ServeHTTP(x, r)
	return nil
}
