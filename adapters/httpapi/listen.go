package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/gofrs/flock"
)

// listen opens host:port or unix:///path; mode is the octal mode of a socket.
func listen(ctx context.Context, address, mode string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix://")
	if !unix {
		var config net.ListenConfig
		config.SetMultipathTCP(false) // its sockets take no filter, see retire
		return config.Listen(ctx, "tcp", address)
	}
	bits, err := strconv.ParseUint(mode, 8, 9)
	if err != nil {
		return nil, fmt.Errorf("%q is no mode of a socket", mode)
	}
	return listenUnix(ctx, path, fs.FileMode(bits))
}

// socket is a listening Unix socket. Closing it removes its file, unless the
// path has become somebody else's meanwhile.
type socket struct {
	net.Listener
	path string
	file fs.FileInfo
	lock *flock.Flock
	once sync.Once
	err  error
}

// listenUnix opens a socket at a path that is free or where a killed process
// left one behind. A lock file beside it, which stays, makes sure that of two
// processes which find such a remnant one removes it.
func listenUnix(ctx context.Context, path string, mode fs.FileMode) (_ net.Listener, err error) {
	lock := flock.New(path+".lock", flock.SetFlag(os.O_CREATE|os.O_RDONLY|syscall.O_NONBLOCK))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, fmt.Errorf("%s: another process is listening", path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Unlock())
		}
	}()
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	listener, err := bind(ctx, path, mode)
	if err != nil {
		return nil, err
	}
	file, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &socket{Listener: listener, path: path, file: file, lock: lock}, nil
}

// bind opens the socket. Linux gives the file the mode that the socket has when
// it is bound, less the umask (unix(7) has no word of it, but net/unix/af_unix.c
// has): nobody beyond mode can connect at any moment.
func bind(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		if err := raw.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), uint32(mode.Perm())) }); err != nil {
			return err
		}
		return failed
	}}
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil { // what the umask took
		return nil, errors.Join(err, listener.Close())
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	return listener, nil
}

// Close closes the socket; a second call does nothing.
func (s *socket) Close() error {
	s.once.Do(func() {
		s.err = errors.Join(s.removeOwn(), s.Listener.Close(), s.lock.Unlock())
	})
	return s.err
}

func (s *socket) removeOwn() error {
	now, err := os.Lstat(s.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(s.file, now) {
		return nil
	}
	return errors.Join(err, os.Remove(s.path))
}

// removeStale removes the socket that a killed process left behind: only a
// socket, and only when nobody answers on it.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("%s: another process is listening", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
