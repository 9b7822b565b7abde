// Package expiry erases users who have expired. Nobody sees them from the moment of their
// expiry on, which core/vectorstore takes care of; this package removes what is left of them
// within a bounded time. Hiding by a wrong clock can be undone and erasing cannot, so it
// goes by a clock of its own that no jump of the system's sets forward.
package expiry
