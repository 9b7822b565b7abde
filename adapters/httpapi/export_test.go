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

// PictureCode returns the code of a reason against a picture.
func PictureCode(reason string) string { return pictureCodes[reason] }
