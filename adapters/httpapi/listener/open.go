package listener

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

// Open listens on host:port or unix:///path; mode is the octal mode of a socket.
func Open(ctx context.Context, address, mode string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix://")
	if !unix {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	bits, err := strconv.ParseUint(mode, 8, 9)
	if err != nil {
		return nil, fmt.Errorf("invalid socket mode %q", mode)
	}
	return openUnix(ctx, path, fs.FileMode(bits))
}

// unixListener listens on a Unix socket. Closing it removes the socket's file, unless
// another file has taken the path meanwhile.
type unixListener struct {
	net.Listener
	path string
	file fs.FileInfo
	lock *flock.Flock
	once sync.Once
	err  error
}

// openUnix listens at a path that is free or where a killed process left its socket
// behind. A lock file beside it, which stays, makes sure that only one of several
// processes replaces such a socket.
func openUnix(ctx context.Context, path string, mode fs.FileMode) (_ net.Listener, err error) {
	lock := flock.New(path+".lock", flock.SetFlag(os.O_CREATE|os.O_RDONLY|syscall.O_NONBLOCK))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, errInUse(path)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Unlock())
		}
	}()
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := bind(ctx, path, mode)
	if err != nil {
		return nil, err
	}
	file, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &unixListener{Listener: l, path: path, file: file, lock: lock}, nil
}

func errInUse(path string) error { return fmt.Errorf("%s: another process is listening", path) }

// bind opens the socket. Linux gives the file the mode that the socket has when it is
// bound, less the umask (not in unix(7), but in net/unix/af_unix.c): at no moment can
// anybody connect whom mode shuts out.
func bind(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), uint32(mode.Perm())) })
		return errors.Join(err, failed)
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil { // adds what the umask removed
		return nil, errors.Join(err, l.Close())
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l, nil
}

// Close closes the socket; a second call does nothing.
func (l *unixListener) Close() error {
	l.once.Do(func() {
		l.err = errors.Join(l.removeFile(), l.Listener.Close(), l.lock.Unlock())
	})
	return l.err
}

func (l *unixListener) removeFile() error {
	now, err := os.Lstat(l.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(l.file, now) {
		return nil
	}
	return errors.Join(err, os.Remove(l.path))
}

// removeStale removes a socket on which nobody listens. Any other file is an error.
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
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(errInUse(path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
