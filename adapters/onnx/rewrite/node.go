package rewrite

import "google.golang.org/protobuf/encoding/protowire"

// newNode makes an operation of the standard domain with one output.
func newNode(kind string, inputs []string, output string, attributes ...[]byte) *node {
	var message []byte
	for _, name := range inputs {
		message = text(message, nodeInput, name)
	}
	message = text(message, nodeOutput, output)
	message = text(message, nodeKind, kind)
	for _, a := range attributes {
		message = text(message, nodeAttribute, a)
	}
	return &node{raw: message, kind: kind, inputs: inputs, outputs: []string{output}}
}

// newAttribute makes an attribute of one whole number or a list of them.
func newAttribute(name string, kind int64, number protowire.Number, values ...int64) []byte {
	message := text(nil, attributeName, name)
	for _, v := range values {
		message = whole(message, number, v)
	}
	return whole(message, attributeType, kind)
}
