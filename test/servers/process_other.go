//go:build !linux

package servers

import "syscall"

// tether does nothing: only Linux can tie a program to the one that starts it.
// The servers are built for Linux anyway.
func tether(*syscall.SysProcAttr) {}
