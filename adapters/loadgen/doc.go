// Package loadgen puts a running imago under load over HTTP, as many clients at
// once or at a steady rate of arrivals, and reports latency percentiles,
// throughput, what was shed and which errors there were. What it enrols carries
// a random prefix, is known at any time, and can be removed again. Its memory
// does not grow with the duration of a run.
package loadgen
