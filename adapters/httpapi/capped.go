package httpapi

import (
	"net"
	"sync"
)

// capped is a listener that keeps a number of connections open at most. Further
// ones wait in the kernel's queue until another is closed. It does what
// golang.org/x/net/netutil.LimitListener does and keeps the connections' ability
// to be closed for writing alone, which net/http needs so that an early answer
// is not lost to a reset.
type capped struct {
	net.Listener
	room   chan struct{} // a token for each open connection
	full   func()        // called when a connection has to wait
	closed chan struct{}
	once   sync.Once
}

func newCapped(l net.Listener, connections int, full func()) *capped {
	return &capped{Listener: l, room: make(chan struct{}, connections), full: full, closed: make(chan struct{})}
}

// Accept waits for room and then for a connection.
func (c *capped) Accept() (net.Conn, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	conn, err := c.Listener.Accept()
	if err != nil {
		<-c.room
		return nil, err
	}
	return &cappedConn{Conn: conn, leave: sync.OnceFunc(func() { <-c.room })}, nil
}

func (c *capped) enter() error {
	select {
	case c.room <- struct{}{}:
		return nil
	default:
		c.full()
	}
	select {
	case c.room <- struct{}{}:
		return nil
	case <-c.closed:
		return net.ErrClosed
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
