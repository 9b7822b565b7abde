// Package rewrite changes ONNX networks so that ONNX Runtime runs them well, and
// keeps their answers. What it does follows from what is in the graph alone: weights
// that are declared as inputs too become constants, an input of one fixed size takes
// any size where nothing in the network depends on it, PRelu becomes operations that
// stay in ONNX Runtime's blocked layout, and nodes that no wanted output needs go. A
// network that it does not understand in full stays as it is.
//
// It imports nothing of imago. Weights are never decoded or copied on the way: the
// parts of a file that do not change are slices of it.
package rewrite
