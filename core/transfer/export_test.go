package transfer

import (
	"context"

	"imago/core/retry"
	"imago/ports"
)

// Checksum reads a collection and returns its Sum, with the default retries.
func Checksum(ctx context.Context, store ports.VectorStore, collection string) (Sum, error) {
	return checksum(ctx, store, collection, retry.Default)
}
