// Package pgstore is the ports.StoreDriver on PostgreSQL with the extension
// pgvector. Any number of imagos may share a schema: the database makes users
// unique, and whatever one has acknowledged the others see at once. Searches are
// exact by default: every face of the collection is compared in the database.
// By configuration they use an HNSW index, which misses some faces of large
// collections; where anything but the index itself may have cut its answer short, the
// exact search decides.
package pgstore
