package rewrite

import "google.golang.org/protobuf/encoding/protowire"

// Value is an input or output of a network.
type Value struct {
	Name string
	// Element is the type of its elements, a number of TensorProto.DataType.
	Element uint64
	// Dimensions are its lengths; -1 is dynamic.
	Dimensions []int64
}

// Signature returns the declared inputs and outputs, and whether all are declared in
// full.
func (g *Graph) Signature() (inputs, outputs []Value, complete bool) {
	inputs, okInputs := declared(g.inputs)
	outputs, okOutputs := declared(g.outputs)
	return inputs, outputs, okInputs && okOutputs
}

func declared(values []*value) (all []Value, complete bool) {
	for _, v := range values {
		element, dims, err := parseValue(v)
		if err != nil || dims == nil {
			return nil, false
		}
		all = append(all, Value{Name: v.name, Element: element, Dimensions: dims})
	}
	return all, len(all) > 0
}

// parseValue returns the type of the elements and the dimensions of an input or output
// as the file declares it. They are nil where it does not say how many there are.
func parseValue(v *value) (element uint64, dims []int64, err error) {
	fields, err := descend(v.raw, valueType, typeTensor)
	if err != nil {
		return 0, nil, err
	}
	kind, _ := first(fields, tensorTypeElement)
	declared, ok := first(fields, tensorTypeShape)
	if !ok {
		return kind.varint, nil, nil
	}
	shape, err := split(declared.content)
	if err != nil {
		return 0, nil, err
	}
	dims = []int64{}
	for _, f := range shape {
		if f.number != shapeDimension {
			continue
		}
		one, err := split(f.content)
		if err != nil {
			return 0, nil, err
		}
		length := int64(-1)
		if value, ok := first(one, dimensionValue); ok {
			length = max(-1, int64(value.varint))
		}
		dims = append(dims, length)
	}
	return kind.varint, dims, nil
}

// descend follows the first fields of some numbers into a message.
func descend(message []byte, numbers ...protowire.Number) ([]field, error) {
	for _, number := range numbers {
		fields, err := split(message)
		if err != nil {
			return nil, err
		}
		inner, ok := first(fields, number)
		if !ok || inner.content == nil {
			return nil, ErrUnsupported
		}
		message = inner.content
	}
	return split(message)
}

// newValue declares a tensor of a shape, whose dimensions that depend on the input are
// dynamic.
func newValue(name string, element uint64, s shape) *value {
	var dims []byte
	for _, d := range s {
		var one []byte
		if d.axis == none {
			one = appendInt(nil, dimensionValue, d.fixed)
		}
		dims = appendBytes(dims, shapeDimension, one)
	}
	tensor := appendBytes(appendInt(nil, tensorTypeElement, int64(element)), tensorTypeShape, dims)
	message := appendBytes(appendBytes(nil, valueName, name), valueType, appendBytes(nil, typeTensor, tensor))
	return &value{name: name, raw: message}
}
