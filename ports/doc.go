// Package ports holds the interfaces through which the core calls technology
// (Decoder, Detector, Embedder, VectorStore), their value types, the types that
// other driven adapters need (Client, AuditEntry), and the sentinel errors.
// Nothing here depends on a library, a protocol or a database. The suites in
// test/contract check for every adapter what the methods promise.
package ports
