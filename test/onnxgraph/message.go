package onnxgraph

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protocol buffer message under construction.
type message []byte

func (m *message) varint(field protowire.Number, v int64) {
	*m = protowire.AppendTag(*m, field, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(v))
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendBytes(*m, v)
}

func (m *message) text(field protowire.Number, v string) { m.bytes(field, []byte(v)) }

// The element types of onnx.TensorProto.
const (
	typeFloat = 1
	typeInt64 = 7
	typeBool  = 9
)

// tensor encodes onnx.TensorProto with raw data.
func tensor(name string, elem int64, dims []int64, raw []byte) []byte {
	var m message
	for _, d := range dims {
		m.varint(1, d)
	}
	m.varint(2, elem)
	m.text(8, name)
	m.bytes(9, raw)
	return m
}

func rawFloats(values []float32) []byte {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return raw
}

func rawInts(values []int64) []byte {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return raw
}

// valueInfo encodes onnx.ValueInfoProto of a tensor. A dimension is an int64 or
// the name of one that may be anything.
func valueInfo(name string, elem int64, dims []any) []byte {
	var shape message
	for _, d := range dims {
		var dim message
		switch d := d.(type) {
		case int:
			dim.varint(1, int64(d))
		case string:
			dim.text(2, d)
		}
		shape.bytes(1, dim)
	}
	var tensorType, typ, info message
	tensorType.varint(1, elem)
	tensorType.bytes(2, shape)
	typ.bytes(1, tensorType)
	info.text(1, name)
	info.bytes(2, typ)
	return info
}
