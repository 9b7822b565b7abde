// Package contract holds the suites that every adapter passes, written against
// the promises of package ports and nothing else. An adapter's test fills in a
// harness (how to get a fresh instance, what the technology can do) and calls
// the suite; what the suite checks is then checked for that adapter, so that
// two adapters cannot drift apart. A new promise starts as a row in the list of
// a suite, and as a deliberately broken implementation that the row catches.
//
// A store is tested as it ships: its driver behind core/vectorstore. The smallest
// driver that passes is in store_reference_test.go.
package contract
