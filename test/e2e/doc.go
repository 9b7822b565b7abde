// Package e2e tests imago from outside: the real binary, built from this tree,
// is started on a free loopback port and talked to over HTTP with real
// pictures, killed, and started again.
package e2e
