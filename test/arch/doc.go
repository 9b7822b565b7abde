// Package arch checks the architecture: which package may import which, that
// every package says what it is for, and that the top level stays as designed.
package arch
