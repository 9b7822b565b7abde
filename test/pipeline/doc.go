// Package pipeline composes the way from a picture to a template in the test's
// own process, from the real adapters and models, so that tests and benchmarks
// can look between its stages.
package pipeline
