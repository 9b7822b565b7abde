// Package bench measures imago as a whole: the stages of one picture and the
// parts side by side. Benchmarks of a single part live with the part. Run them
// with `make bench`.
package bench
