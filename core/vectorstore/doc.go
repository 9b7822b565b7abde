// Package vectorstore makes a ports.VectorStore of a ports.StoreDriver. What all
// stores have in common is written here once: the checks of arguments, being started
// and closed, errors that name the store and the call, and contexts that end. A
// driver is left with its technology.
package vectorstore
