package rewrite

import "google.golang.org/protobuf/encoding/protowire"

// newNode makes an operation of the standard domain with one output.
func newNode(kind string, inputs []string, output string, attributes ...[]byte) *node {
	var message []byte
	for _, name := range inputs {
		message = appendBytes(message, nodeInput, name)
	}
	message = appendBytes(message, nodeOutput, output)
	message = appendBytes(message, nodeKind, kind)
	for _, a := range attributes {
		message = appendBytes(message, nodeAttribute, a)
	}
	return &node{raw: message, kind: kind, inputs: inputs, outputs: []string{output}}
}

// newAttribute makes an attribute of one or several integers.
func newAttribute(name string, kind int64, number protowire.Number, values ...int64) []byte {
	message := appendBytes(nil, attributeName, name)
	for _, v := range values {
		message = appendInt(message, number, v)
	}
	return appendInt(message, attributeType, kind)
}
