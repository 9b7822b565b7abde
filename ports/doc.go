// Package ports is the boundary of imago: the interfaces through which the
// core reaches technology (Decoder, Detector, Embedder, VectorStore), the value
// types that cross them, and the few sentinel errors that both sides agree on.
// Nothing here knows a library, a protocol or a database; the promises written
// on each method are checked for every adapter by the suites in test/contract.
package ports
