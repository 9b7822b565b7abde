package rewrite

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message of the protocol buffers. The content is that of a
// field with a length, nil for any other; number is the value of a varint.
type field struct {
	number  protowire.Number
	raw     []byte // with its tag
	content []byte
	varint  uint64
}

// split takes a message apart, without copying.
func split(message []byte) (all []field, err error) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, ErrNotUnderstood
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return nil, ErrNotUnderstood
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

// integers returns the whole numbers of a repeated field, packed or not.
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
				return nil, ErrNotUnderstood
			}
			values, rest = append(values, int64(v)), rest[n:]
		}
	}
	return values, nil
}

// text appends a field that holds a string or a message.
func text[T string | []byte](message []byte, number protowire.Number, content T) []byte {
	message = protowire.AppendTag(message, number, protowire.BytesType)
	return append(protowire.AppendVarint(message, uint64(len(content))), content...)
}

// whole appends a field that holds a whole number.
func whole(message []byte, number protowire.Number, value int64) []byte {
	message = protowire.AppendTag(message, number, protowire.VarintType)
	return protowire.AppendVarint(message, uint64(value))
}
