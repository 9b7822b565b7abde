// Package facechip encrypts the chips of enrolled faces and decrypts them, so that a store
// can keep them without knowing what they show. A chip is bound to its face: it opens under
// no other collection, user or face ID.
package facechip
