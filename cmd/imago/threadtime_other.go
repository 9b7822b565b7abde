//go:build !linux

package main

import "time"

// threadTime is nil: costly pictures are charged as others are.
var threadTime func() time.Duration
