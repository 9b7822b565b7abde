package onnx

import (
	"fmt"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"imago/adapters/onnx/rewrite"
)

// signature are the declared inputs and outputs of a network. A dimension of -1 is
// dynamic.
type signature struct {
	inputs, outputs []ort.InputOutputInfo
}

// signatureOf returns the signature of a network: that of g where the file declares it
// in full, or else that of ONNX Runtime, which takes as long as loading the network.
func signatureOf(data []byte, g *rewrite.Graph) (signature, error) {
	if g != nil {
		if inputs, outputs, complete := g.Signature(); complete {
			return signature{inputs: infos(inputs), outputs: infos(outputs)}, nil
		}
	}
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(data)
	if err != nil {
		return signature{}, notLoadable(err)
	}
	return signature{inputs: inputs, outputs: outputs}, nil
}

// infos converts values to the types of ONNX Runtime, whose element types have the
// numbers of ONNX.
func infos(values []rewrite.Value) (all []ort.InputOutputInfo) {
	for _, v := range values {
		all = append(all, ort.InputOutputInfo{
			Name: v.Name, OrtValueType: ort.ONNXTypeTensor, Dimensions: v.Dimensions,
			DataType: ort.TensorElementDataType(v.Element),
		})
	}
	return all
}

func notLoadable(err error) error {
	return fmt.Errorf("the file is not a network that ONNX Runtime can load: %w", err)
}

// checkImages checks that the network takes one float32 tensor of
// N x 3 x height x width; -1 stands for a dynamic side.
func (s signature) checkImages(height, width int) error {
	if len(s.inputs) != 1 {
		return fmt.Errorf("the network must have one input, but it has %s", describe(s.inputs))
	}
	in := s.inputs[0]
	if in.DataType != ort.TensorElementDataTypeFloat || len(in.Dimensions) != 4 || !fits(in.Dimensions[1], 3) {
		return fmt.Errorf("the input must be float32 of N x 3 x height x width, but it is %s", in.String())
	}
	for i, want := range []int{height, width} {
		if have := in.Dimensions[2+i]; have > 0 && have != int64(want) {
			if want < 0 {
				return fmt.Errorf("the manifest sets no input.size, but the network takes %d pixels only", have)
			}
			return fmt.Errorf("the manifest sets an input of %d pixels, but the network takes %d", want, have)
		}
	}
	return nil
}

// batch returns the batch dimension of the input; -1 is dynamic.
func (s signature) batch() int64 { return s.inputs[0].Dimensions[0] }

// checkOutput checks that an output is float32 with a last dimension of each.
func checkOutput(info ort.InputOutputInfo, each int64) error {
	last := len(info.Dimensions) - 1
	if info.DataType != ort.TensorElementDataTypeFloat || last < 0 || !fits(info.Dimensions[last], each) {
		return fmt.Errorf("the output %s must be float32 with a last dimension of %d, but it is %s", info.Name, each, info.String())
	}
	return nil
}

// fits reports whether a declared dimension allows a value.
func fits(declared, value int64) bool { return declared < 0 || declared == value }

// find returns the declared output of a name.
func find(declared []ort.InputOutputInfo, name string) (ort.InputOutputInfo, bool) {
	for _, info := range declared {
		if info.Name == name {
			return info, true
		}
	}
	return ort.InputOutputInfo{}, false
}

// describe lists inputs or outputs for a message.
func describe(infos []ort.InputOutputInfo) string {
	if len(infos) == 0 {
		return "none"
	}
	parts := make([]string, len(infos))
	for i, info := range infos {
		parts[i] = fmt.Sprintf("%s %v", info.Name, info.Dimensions)
	}
	return strings.Join(parts, ", ")
}
