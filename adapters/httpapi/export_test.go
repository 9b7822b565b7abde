package httpapi

import "net"

// Listener lets a test break the main listener.
func (s *Server) Listener() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving[0].listener
}
