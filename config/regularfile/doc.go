// Package regularfile opens files that operators name in the configuration. Opening or
// reading a named pipe, a device or a socket could block forever: here they are refused
// at once, for reading and for writing, and reads are bounded.
package regularfile
