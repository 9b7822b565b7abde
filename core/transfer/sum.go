package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math"

	"imago/core/retry"
	"imago/ports"
)

// Sum says what a collection holds: two collections of one name are the same if
// and only if their Sums are equal.
type Sum struct {
	Collection string
	Users      int
	Faces      int
	// SHA256 is the digest of these bytes, numbers little-endian, a string as
	// its length in bytes (uint32) and its UTF-8:
	//
	//	string "imago-gallery 1", string collection, then for each face in the
	//	order of ports.VectorStore.Scan:
	//	string user ID, string face ID, string owner,
	//	int64 microseconds from 1970-01-01T00:00:00Z to the enrolment,
	//	uint32 count of the vector's numbers, each as IEEE 754 binary32.
	SHA256 [sha256.Size]byte
}

// String puts the sum into a line for people.
func (s Sum) String() string {
	return fmt.Sprintf("%s: users %d, faces %d, sha256 %x", s.Collection, s.Users, s.Faces, s.SHA256)
}

// Checksum reads a collection and sums it up. It waits for a store that is
// unavailable as long as retry.Default says.
func Checksum(ctx context.Context, store ports.VectorStore, collection string) (Sum, error) {
	return checksum(ctx, store, collection, retry.Default)
}

func checksum(ctx context.Context, store ports.VectorStore, collection string, policy retry.Policy) (Sum, error) {
	s := newSummer(collection)
	for faces, err := range stored(ctx, store, collection, policy) {
		if err != nil {
			return Sum{}, fmt.Errorf("collection %s: %w", collection, err)
		}
		s.add(faces)
	}
	return s.sum(), nil
}

// summer makes a Sum of the users of a collection, which it is given in order,
// each with all faces.
type summer struct {
	total Sum
	hash  hash.Hash
	bytes []byte
}

func newSummer(collection string) *summer {
	s := &summer{total: Sum{Collection: collection}, hash: sha256.New()}
	s.hash.Write(appendString(appendString(nil, "imago-gallery 1"), collection))
	return s
}

func (s *summer) add(faces []ports.Record) {
	s.total.Users++
	s.total.Faces += len(faces)
	for _, r := range faces {
		s.bytes = appendRecord(s.bytes[:0], r)
		s.hash.Write(s.bytes)
	}
}

// sum returns the Sum of what was added so far.
func (s *summer) sum() Sum {
	sum := s.total
	s.hash.Sum(sum.SHA256[:0])
	return sum
}

func appendRecord(b []byte, r ports.Record) []byte {
	b = appendString(b, r.UserID)
	b = appendString(b, r.FaceID)
	b = appendString(b, r.Owner)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.EnrolledAt.UnixMicro()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Vector)))
	return appendVector(b, r.Vector)
}

func appendVector(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}
