// Package alignment puts a detected face into the pose that embedding networks
// were trained on: it fits a similarity transform (rotation, uniform scale,
// shift) from the five landmarks to the ArcFace template and samples the
// picture through it into a 112 x 112 chip without aliasing. Alignment off by a
// few pixels costs more accuracy than the choice of the network, so its geometry
// is pinned by tests to a fraction of a pixel. What a line of samples is, is said in Go
// (line.go); amd64 computes the same bits in assembly.
package alignment
