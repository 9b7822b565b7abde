package httpapi

import (
	"context"
	"net"
	"syscall"
	"time"
)

// A listener that is simply closed takes those connections with it which the
// kernel has completed and nobody has accepted yet: their clients, which may have
// sent their requests already, see a reset. On a machine whose cores are busy with
// inference that is no rare case. So a listener first stops taking new
// connections, then the ones that are there are accepted, and then it is closed.

const (
	// retirement bounds the wait for connections to be accepted.
	retirement = 2 * time.Second
	// acceptedEvery is how often is looked whether they all are.
	acceptedEvery = 5 * time.Millisecond
	// handshake is what a connection that is being made on a local network is
	// given to be completed.
	handshake = 20 * time.Millisecond
)

// retire returns when no connection waits to be accepted and, as far as the
// system allows it, none will, or after a while.
func retire(ctx context.Context, l net.Listener) {
	raw := turnAway(l)
	if raw == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, retirement)
	defer cancel()
	pause(ctx, handshake)
	for ctx.Err() == nil && waiting(raw) {
		pause(ctx, acceptedEvery)
	}
}

// turnAway has further clients see that nobody listens, or wait until that is so.
// It returns nil where it cannot.
func turnAway(l net.Listener) syscall.RawConn {
	switch l := l.(type) {
	case *socket:
		if l.removeOwn() != nil {
			return nil
		}
		return rawOf(l.Listener)
	case *net.TCPListener:
		raw := rawOf(l)
		if raw == nil || refuseHandshakes(raw) != nil {
			return nil
		}
		return raw
	}
	return nil
}

func rawOf(l net.Listener) syscall.RawConn {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// pause waits for a time or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
