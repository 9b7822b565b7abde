//go:build !linux

package flat

// preferLargePages does nothing where there is no way to ask.
func preferLargePages([]byte) {}
