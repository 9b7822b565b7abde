// Package servers runs real PostgreSQL (with pgvector), PgBouncer, Milvus, milvus-lite and
// nginx servers for tests: on loopback, on free ports, with data in a temporary folder, stopped
// with the test. The programs are what `make servers`
// installs; an operator's own server can stand in by environment variable. A
// server that is required and cannot run fails the test with the reason.
package servers
