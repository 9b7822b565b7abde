// Package onnx runs face detection and face embedding networks on ONNX Runtime:
// it implements ports.Detector for the YuNet and SCRFD output contracts and
// ports.Embedder for any network that answers one N x D output, both described
// by a manifest alone, and it owns the process-wide ONNX Runtime environment
// that they share.
package onnx
