package rewrite

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// tensor is a constant taken apart.
type tensor struct {
	fields []field
	dims   []int64
	kind   uint64 // of its elements
}

// parseTensor takes a weight apart that stands in the file itself.
func parseTensor(w *value) (tensor, error) {
	fields, err := split(w.raw)
	if err != nil {
		return tensor{}, err
	}
	if location, ok := first(fields, tensorLocation); ok && location.varint != 0 {
		return tensor{}, ErrUnsupported // in a file of its own
	}
	kind, _ := first(fields, tensorType)
	dims, err := integers(fields, tensorDims)
	return tensor{fields: fields, dims: dims, kind: kind.varint}, err
}

// count returns how many elements the dimensions stand for.
func (t tensor) count() int64 { return product(t.dims) }

func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// floats returns the elements of a tensor of float32.
func (t tensor) floats() ([]float32, error) {
	if t.kind != elementFloat {
		return nil, ErrUnsupported
	}
	return elements(t, tensorFloats, 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
}

// int64s returns the elements of a tensor of int64.
func (t tensor) int64s() ([]int64, error) {
	if t.kind != elementInt64 {
		return nil, ErrUnsupported
	}
	if _, ok := first(t.fields, tensorRaw); !ok {
		values, err := integers(t.fields, tensorInt64s)
		return values, t.checkCount(len(values), err)
	}
	return elements(t, tensorRaw, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
}

// elements reads raw data, or else the typed field of numbers of a fixed size.
func elements[T any](t tensor, typed protowire.Number, size int, read func([]byte) T) (values []T, err error) {
	number := typed
	if _, ok := first(t.fields, tensorRaw); ok {
		number = tensorRaw
	}
	for _, f := range t.fields {
		if f.number != number {
			continue
		}
		content := f.content
		if content == nil && number == typed { // not packed: behind the tag
			content = f.raw[len(f.raw)-size:]
		}
		for ; len(content) >= size; content = content[size:] {
			values = append(values, read(content))
		}
		if len(content) > 0 {
			return nil, ErrUnsupported
		}
	}
	return values, t.checkCount(len(values), nil)
}

func (t tensor) checkCount(have int, err error) error {
	if err == nil && int64(have) != t.count() {
		return ErrUnsupported
	}
	return err
}

// newFloats makes a constant of float32.
func newFloats(name string, dims []int64, values []float32) *value {
	var message []byte
	for _, d := range dims {
		message = appendInt(message, tensorDims, d)
	}
	message = appendInt(message, tensorType, elementFloat)
	message = appendBytes(message, tensorName, name)
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return &value{name: name, raw: appendBytes(message, tensorRaw, raw)}
}
