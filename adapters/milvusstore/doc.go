// Package milvusstore is the ports.StoreDriver on Milvus. All faces lie in one
// Milvus collection and are read with strong consistency, so that any number of
// imagos may share it; the index is FLAT, which compares every face, or by
// configuration HNSW, which misses some. Milvus has neither unique keys nor
// transactions: what imago promises all the same, how, and where it ends is
// written at claim (who may change a user) and at planner (what a change does).
package milvusstore
