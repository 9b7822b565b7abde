// Package reembed makes faces of one embedding space those of another from their chips,
// without the pictures that they were enrolled with, and compares what the two spaces say
// about the same faces. Package transfer copies a gallery by it.
package reembed
