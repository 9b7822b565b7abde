// Package onnxgraph writes small ONNX networks for tests, with the manifests
// that describe them: detectors that truly find bright red squares, embedders
// that truly depend on their chips, and broken variants of both, so that the
// whole inference path is covered where no real model is at hand.
package onnxgraph
