//go:build !linux

package exactindex

// preferLargePages does nothing where there is no way to ask.
func preferLargePages([]byte) {}
