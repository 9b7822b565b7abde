// Package memindex is a library: all faces of a store in RAM, searched exactly, by
// collection, user and owner. What is added and removed becomes visible at one moment, so
// that a search sees a state of the store and never half a change. It knows nothing of
// where faces are kept durably, and checks no input: that is for those who use it.
package memindex
