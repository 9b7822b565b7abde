package listener

import (
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	drainTimeout  = 2 * time.Second
	drainInterval = 5 * time.Millisecond
)

// Drain returns when the connections in the queue of a listener of Open have been
// accepted, or after drainTimeout. Closing the listener before would reset them, although
// their clients may have sent requests already; a gateway that does not look at readiness
// sends until it is refused. What comes in the moment between Drain and closing is lost.
func Drain(ctx context.Context, l net.Listener) {
	if socket, ok := l.(*unixListener); ok {
		_ = socket.removeFile() // no new client finds it; Close would return the error
		l = socket.Listener
	}
	conn, ok := l.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for hasQueue(raw) {
		select {
		case <-time.After(drainInterval):
		case <-ctx.Done():
			return
		}
	}
}

// hasQueue reports whether a connection waits to be accepted.
func hasQueue(raw syscall.RawConn) (waiting bool) {
	_ = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		waiting = err == nil && n > 0
	})
	return waiting
}
