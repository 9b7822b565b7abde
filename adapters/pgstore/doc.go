// Package pgstore is the ports.VectorStore on PostgreSQL with the extension
// pgvector. Any number of imagos may share a schema: the database makes users
// unique, and whatever one has acknowledged the others see at once. Searches are
// exact by default: every face of the collection is compared in the database.
// By configuration they use a graph index (HNSW), which misses some faces of
// large collections; where its answer may be cut short by anything but the graph
// itself, the exact search decides.
package pgstore
