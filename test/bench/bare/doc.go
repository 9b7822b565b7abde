// Package bare calls the libraries that imago stands on with as little around
// them as possible: libjpeg-turbo and libpng decode into memory that is there,
// ONNX Runtime runs a network over tensors that are ready. It is the yardstick of
// the benchmarks of the picture path: what no program over these libraries can be
// faster than. It checks nothing that a sound picture does not need.
package bare
