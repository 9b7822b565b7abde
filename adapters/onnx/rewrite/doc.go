// Package rewrite optimises ONNX networks for ONNX Runtime without changing their
// outputs. It depends on the graph alone: weights that are also declared as inputs become
// constants, an input of fixed height and width becomes dynamic where no operation depends
// on the size, PRelu is replaced by operations that stay in ONNX Runtime's blocked layout,
// and nodes that no output needs are removed. A network that it does not support in full
// is left unchanged.
//
// It imports nothing of imago. Weights are never decoded or copied: the unchanged parts of
// a file are slices of it.
package rewrite
