// Package milvusstore keeps faces in one collection of a Milvus server.
package milvusstore
