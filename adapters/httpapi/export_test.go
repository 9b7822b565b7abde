package httpapi

import (
	"net"
	"time"
)

// Listener lets a test break the main listener.
func (s *Server) Listener() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving[0].listener
}

// SetWriteGrace shortens the time for writing an answer; before Start only.
func (s *Server) SetWriteGrace(d time.Duration) { s.grace = d }

// SetUploadGrace shortens the time in which no rate is asked of a body.
func (s *Server) SetUploadGrace(d time.Duration) { s.uploadGrace = d }

// Listen and Retire are what a server's listeners begin and end with.
var (
	Listen = listen
	Retire = retire
)
