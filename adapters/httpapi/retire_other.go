//go:build !linux

package httpapi

import (
	"errors"
	"syscall"
)

// refuseHandshakes is not known how to do here.
func refuseHandshakes(syscall.RawConn) error { return errors.ErrUnsupported }

// waiting cannot tell.
func waiting(syscall.RawConn) bool { return false }
