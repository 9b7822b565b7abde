// Package transfer copies galleries: from one store to another, into a file and
// out of a file. It works over the ports alone and in constant memory. It writes only
// what is missing, never overwrites, and can be repeated after any interruption
// until both sides are the same, which it proves by counts and checksums.
package transfer
