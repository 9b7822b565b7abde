package listener

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// Limited is a listener with a limit on its open connections. A connection over the
// limit makes it close another one: any that does no work can go, be it idle, slow with
// its header, sending an unwanted body or slow to take its answer. Of the networks with
// the most connections one loses the connection that was used least recently, so a client
// that opens too many closes its own. Where every connection does work, one more
// waits here, and further ones in the kernel's queue.
//
// Unlike those of golang.org/x/net/netutil.LimitListener its connections can be
// closed for writing alone, which net/http needs so that an early answer is not lost
// to a reset.
type Limited struct {
	net.Listener
	limit  int
	full   func()        // called when a connection is over the limit
	closed chan struct{} // ends the wait for a place
	freed  chan struct{} // receives when there may be one

	once  sync.Once
	mu    sync.Mutex
	open  map[*Conn]struct{}
	count map[netip.Prefix]int // open connections by network
	clock uint64               // orders the connections by their last use
}

// Limit returns a listener that keeps at most limit connections of l open. It calls
// full whenever another one comes.
func Limit(l net.Listener, limit int, full func()) *Limited {
	return &Limited{
		Listener: l, limit: limit, full: full, closed: make(chan struct{}), freed: make(chan struct{}, 1),
		open: map[*Conn]struct{}{}, count: map[netip.Prefix]int{},
	}
}

// Accept waits for a connection, and then until it can be kept open.
func (l *Limited) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: accepted, listener: l, from: Network(parseAddress(accepted.RemoteAddr().String()))}
	for !l.add(c) {
		l.full()
		if other := l.evictable(); other != nil {
			_ = other.Close()
			continue
		}
		select {
		case <-l.freed:
		case <-l.closed:
			_ = accepted.Close()
			return nil, net.ErrClosed
		}
	}
	return c, nil
}

// add reports whether there was a place for a connection.
func (l *Limited) add(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.limit {
		return false
	}
	l.open[c] = struct{}{}
	l.count[c.from]++
	l.use(c)
	return true
}

func (l *Limited) use(c *Conn) {
	l.clock++
	c.used = l.clock
}

// evictable returns the connection that has to go first, nil for none.
func (l *Limited) evictable() (first *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if c.working {
			continue
		}
		if first == nil || l.count[c.from] > l.count[first.from] ||
			l.count[c.from] == l.count[first.from] && c.used < first.used {
			first = c
		}
	}
	return first
}

func (l *Limited) remove(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	if l.count[c.from]--; l.count[c.from] == 0 {
		delete(l.count, c.from)
	}
	l.signal()
}

// signal wakes an Accept that waits for a place.
func (l *Limited) signal() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// Close closes the listener and ends an Accept that waits for a place.
func (l *Limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Conn is a connection of a Limited listener. The methods that it has beside those of
// net.Conn do nothing on a nil Conn.
type Conn struct {
	net.Conn
	listener *Limited
	from     netip.Prefix
	once     sync.Once

	// The listener's mutex guards these.
	used      uint64 // when it was used last, by the listener's clock
	working   bool
	lingering bool
}

// Close closes the connection.
func (c *Conn) Close() error {
	defer c.once.Do(func() { c.listener.remove(c) })
	return c.Conn.Close()
}

// CloseWrite closes the connection for writing alone.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Touch notes that the connection is in use.
func (c *Conn) Touch() {
	if c == nil {
		return
	}
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.listener.use(c)
}

// Work keeps the connection from being closed for another until done is called.
func (c *Conn) Work() (done func()) {
	if c == nil {
		return func() {}
	}
	set := func(working bool) {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		c.working = working
		c.listener.use(c)
		if !working {
			c.listener.signal()
		}
	}
	set(true)
	return func() { set(false) }
}

// Linger reports whether the connection may stay open to receive the rest of a refused
// request, until Lingered is called: each network has a quarter of the limit for that.
func (c *Conn) Linger() bool {
	if c == nil {
		return true
	}
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	lingering := 0
	for other := range l.open {
		if other.lingering && other.from == c.from {
			lingering++
		}
	}
	c.lingering = lingering <= l.limit/4
	return c.lingering
}

// Lingered ends what Linger began.
func (c *Conn) Lingered() {
	if c == nil {
		return
	}
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.lingering = false
}

type connectionKey struct{}

// WithConn is a ConnContext for an http.Server, which lets Of find the connection of a
// request.
func WithConn(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// Of returns the connection of a request by its context, nil if it came through no
// Limited listener.
func Of(ctx context.Context) *Conn {
	c, _ := ctx.Value(connectionKey{}).(*Conn)
	return c
}
