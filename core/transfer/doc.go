// Package transfer moves galleries: from one store to another, into a file and
// out of a file. It works over the ports alone, in constant memory, writes only
// what is missing, never overwrites, and can be repeated after any interruption
// until both sides are the same, which it proves by count and checksum.
package transfer
