package httpapi

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// capped is a listener that keeps a number of connections open at most. Where one
// more comes, another is closed for it: any on which no request with a valid key is
// in progress can go, be it idle, slow with its header, sending what nobody wants or
// slow to take its answer. The address with the most connections loses one, the one
// that has been left alone for longest. So there is always a way in, and whoever
// floods imago with connections closes his own. Where every connection is at work
// one more waits here, and further ones in the kernel's queue.
//
// Unlike those of golang.org/x/net/netutil.LimitListener its connections can be
// closed for writing alone, which net/http needs so that an early answer is not lost
// to a reset.
type capped struct {
	net.Listener
	limit  int
	full   func()        // called when there is no room for a connection
	closed chan struct{} // ends the wait for room
	room   chan struct{} // told that there may be some
	once   sync.Once

	mu    sync.Mutex
	open  map[*cappedConn]struct{}
	count map[netip.Prefix]int // of open connections
	calls uint64               // orders the connections by when they were last used
}

func newCapped(l net.Listener, connections int, full func()) *capped {
	return &capped{
		Listener: l, limit: connections, full: full, closed: make(chan struct{}), room: make(chan struct{}, 1),
		open: map[*cappedConn]struct{}{}, count: map[netip.Prefix]int{},
	}
}

// Accept waits for a connection and then for room for it.
func (c *capped) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	one := &cappedConn{Conn: conn, listener: c, from: neighbourhood(parseHop(conn.RemoteAddr().String()))}
	if !c.enter(one) {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return one, nil
}

// enter makes room for a connection. It reports false when the listener is closed
// before there is some.
func (c *capped) enter(one *cappedConn) bool {
	for !c.add(one) {
		c.full()
		if other := c.dispensable(); other != nil {
			_ = other.Close()
			continue
		}
		select {
		case <-c.room:
		case <-c.closed:
			return false
		}
	}
	return true
}

func (c *capped) add(one *cappedConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.limit {
		return false
	}
	c.open[one] = struct{}{}
	c.count[one.from]++
	c.use(one)
	return true
}

func (c *capped) use(one *cappedConn) {
	c.calls++
	one.used = c.calls
}

// dispensable returns the connection that has to go first, nil for none.
func (c *capped) dispensable() (first *cappedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for one := range c.open {
		if one.working {
			continue
		}
		if first == nil || c.count[one.from] > c.count[first.from] ||
			c.count[one.from] == c.count[first.from] && one.used < first.used {
			first = one
		}
	}
	return first
}

func (c *capped) remove(one *cappedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, one)
	if c.count[one.from]--; c.count[one.from] == 0 {
		delete(c.count, one.from)
	}
	c.tell()
}

// tell wakes who waits for room.
func (c *capped) tell() {
	select {
	case c.room <- struct{}{}:
	default:
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
	listener *capped
	from     netip.Prefix
	once     sync.Once

	// The listener's mutex guards these.
	used      uint64 // when it was last, in calls
	working   bool   // on a request with a valid key
	lingering bool
}

// Close closes the connection.
func (c *cappedConn) Close() error {
	defer c.once.Do(func() { c.listener.remove(c) })
	return c.Conn.Close()
}

// CloseWrite closes the connection for writing alone.
func (c *cappedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// touch notes that the connection is used.
func (c *cappedConn) touch() {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.listener.use(c)
}

// work keeps the connection from being closed for another until done is called.
func (c *cappedConn) work() (done func()) {
	set := func(working bool) {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		c.working = working
		c.listener.use(c)
		if !working {
			c.listener.tell()
		}
	}
	set(true)
	return func() { set(false) }
}

// linger reports whether the connection may be kept for what a refused request
// still sends: no more than a quarter of all are, of one address.
func (c *cappedConn) linger() bool {
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	lingering := 0
	for one := range l.open {
		if one.lingering && one.from == c.from {
			lingering++
		}
	}
	c.lingering = lingering <= l.limit/4
	return c.lingering
}

// lingered ends that.
func (c *cappedConn) lingered() {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.lingering = false
}

type connectionKey struct{}

// withConnection is an http.Server's ConnContext: handlers find the connection of
// their request by it.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// connectionOf returns the connection of a request, nil for none of a capped
// listener.
func connectionOf(ctx context.Context) *cappedConn {
	conn, _ := ctx.Value(connectionKey{}).(*cappedConn)
	return conn
}
