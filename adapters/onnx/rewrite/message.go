package rewrite

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a protocol buffers message. content is that of a
// length-delimited field, nil for any other; varint is the value of a varint field.
type field struct {
	number  protowire.Number
	raw     []byte // with its tag
	content []byte
	varint  uint64
}

// split splits a message into its fields, without copying.
func split(message []byte) (all []field, err error) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, ErrUnsupported
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return nil, ErrUnsupported
		}
		f := field{number: number, raw: message[:n+size]}
		switch kind {
		case protowire.BytesType:
			f.content, _ = protowire.ConsumeBytes(message[n:])
		case protowire.VarintType:
			f.varint, _ = protowire.ConsumeVarint(message[n:])
		}
		all, message = append(all, f), message[n+size:]
	}
	return all, nil
}

// first returns the first field of a number, and whether there is one.
func first(all []field, number protowire.Number) (field, bool) {
	for _, f := range all {
		if f.number == number {
			return f, true
		}
	}
	return field{}, false
}

// integers returns the integers of a repeated field, packed or not.
func integers(all []field, number protowire.Number) (values []int64, err error) {
	for _, f := range all {
		if f.number != number {
			continue
		}
		if f.content == nil {
			values = append(values, int64(f.varint))
			continue
		}
		for rest := f.content; len(rest) > 0; {
			v, n := protowire.ConsumeVarint(rest)
			if n < 0 {
				return nil, ErrUnsupported
			}
			values, rest = append(values, int64(v)), rest[n:]
		}
	}
	return values, nil
}

// appendBytes appends a length-delimited field.
func appendBytes[T string | []byte](message []byte, number protowire.Number, content T) []byte {
	message = protowire.AppendTag(message, number, protowire.BytesType)
	return append(protowire.AppendVarint(message, uint64(len(content))), content...)
}

// appendInt appends a varint field.
func appendInt(message []byte, number protowire.Number, value int64) []byte {
	message = protowire.AppendTag(message, number, protowire.VarintType)
	return protowire.AppendVarint(message, uint64(value))
}
