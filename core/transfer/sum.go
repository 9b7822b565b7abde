package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"

	"imago/core/retry"
	"imago/ports"
)

// Sum is the count and the checksum of a collection: two collections of the same name
// hold the same if and only if their Sums are equal.
type Sum struct {
	Collection string `json:"collection"`
	Users      int    `json:"users"`
	Faces      int    `json:"faces"`
	// Chips is how many of the faces have their chips in an export. The digest is without
	// them: each has a tag of its own.
	Chips int `json:"chips,omitempty"`
	// SHA256 is the digest of these bytes, numbers little-endian, a string as
	// its length in bytes (uint32) and its UTF-8:
	//
	//	string "imago-gallery 1", string collection, then for each face in the
	//	order of ports.VectorStore.Scan:
	//	string user ID, string face ID, string owner,
	//	int64 microseconds from 1970-01-01T00:00:00Z to the enrolment,
	//	uint32 count of the vector's numbers, each as IEEE 754 binary32. Where the face
	//	has an expiry, the count is larger by 2^31 and int64 microseconds from
	//	1970-01-01T00:00:00Z to the expiry come behind it.
	//
	// Where two sides have different embedding spaces the vectors are left out: their
	// count is 0.
	SHA256 Digest `json:"sha256"`
}

// Digest is a SHA-256. Its text is 64 lower-case hexadecimal digits.
type Digest [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	data, err := hex.DecodeString(string(text))
	if err != nil || len(data) != len(d) || hex.EncodeToString(data) != string(text) {
		return fmt.Errorf("a SHA-256 must be %d lower-case hexadecimal digits", 2*len(d))
	}
	*d = Digest(data)
	return nil
}

// String returns the sum as a line for people.
func (s Sum) String() string {
	chips := ""
	if s.Chips > 0 {
		chips = fmt.Sprintf(", chips %d", s.Chips)
	}
	return fmt.Sprintf("%s: users %d, faces %d%s, sha256 %x", s.Collection, s.Users, s.Faces, chips, s.SHA256)
}

// checksum reads a collection and returns its Sum.
func checksum(ctx context.Context, store ports.VectorStore, collection string, policy retry.Policy) (Sum, error) {
	s := newSumBuilder(collection)
	for faces, err := range storedUsers(ctx, store, ports.Everything(collection, ""), policy) {
		if err != nil {
			return Sum{}, fmt.Errorf("collection %s: %w", collection, err)
		}
		s.add(faces)
	}
	return s.sum(), nil
}

// sumBuilder computes the Sum of a collection, whose users are added in order, each with
// all faces.
type sumBuilder struct {
	total Sum
	hash  hash.Hash
	bytes []byte
}

func newSumBuilder(collection string) *sumBuilder {
	s := &sumBuilder{total: Sum{Collection: collection}, hash: sha256.New()}
	s.hash.Write(appendString(appendString(nil, "imago-gallery 1"), collection))
	return s
}

func (s *sumBuilder) add(faces []ports.Record) {
	s.total.Users++
	s.total.Faces += len(faces)
	for _, r := range faces {
		s.bytes = appendRecord(s.bytes[:0], r)
		s.hash.Write(s.bytes)
	}
}

// addChips counts the chips of faces in an export.
func (s *sumBuilder) addChips(faces []ports.Record) {
	for _, r := range faces {
		if len(r.Chip) > 0 {
			s.total.Chips++
		}
	}
}

// sum returns the Sum of the users added so far.
func (s *sumBuilder) sum() Sum {
	sum := s.total
	s.hash.Sum(sum.SHA256[:0])
	return sum
}

func appendRecord(b []byte, r ports.Record) []byte {
	b = appendString(b, r.UserID)
	b = appendString(b, r.FaceID)
	b = appendString(b, r.Owner)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.EnrolledAt.UnixMicro()))
	if count := uint32(len(r.Vector)); r.ExpiresAt.IsZero() {
		b = binary.LittleEndian.AppendUint32(b, count)
	} else {
		b = binary.LittleEndian.AppendUint32(b, count|1<<31)
		b = binary.LittleEndian.AppendUint64(b, uint64(r.ExpiresAt.UnixMicro()))
	}
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
