package httpapi

import (
	"net"
	"sync"
	"time"
)

// askAgain is how often room is asked for while a connection waits.
const askAgain = time.Second

// capped is a listener that keeps a number of connections open at most. One more
// waits here and further ones in the kernel's queue until another is closed.
// Unlike golang.org/x/net/netutil.LimitListener it knows that somebody waits, and
// its connections can be closed for writing alone, which net/http needs so that
// an early answer is not lost to a reset.
type capped struct {
	net.Listener
	room   chan struct{} // a token for each open connection
	full   func()        // called while a connection waits
	closed chan struct{}
	once   sync.Once
}

func newCapped(l net.Listener, connections int, full func()) *capped {
	return &capped{Listener: l, room: make(chan struct{}, connections), full: full, closed: make(chan struct{})}
}

// Accept waits for a connection and then for room for it.
func (c *capped) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !c.enter() {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return &cappedConn{Conn: conn, leave: sync.OnceFunc(func() { <-c.room })}, nil
}

// enter takes a place. It asks for room until there is some, and reports false
// when the listener is closed before.
func (c *capped) enter() bool {
	select {
	case c.room <- struct{}{}:
		return true
	default:
	}
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		c.full()
		select {
		case c.room <- struct{}{}:
			return true
		case <-c.closed:
			return false
		case <-again.C:
		}
	}
}

// Close ends an Accept that waits, too.
func (c *capped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// cappedConn gives its place back when it is closed.
type cappedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *cappedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// CloseWrite closes the connection for writing alone.
func (c *cappedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
