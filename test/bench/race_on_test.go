//go:build race

package bench

// underRaceDetector says that Go code takes many times as long as usual.
const underRaceDetector = true
