// Package alignment brings a detected face into the position that embedding networks
// were trained on: it fits a similarity transform (rotation, uniform scale, shift) from
// the five landmarks to the ArcFace template and samples the picture through it into a
// 112 x 112 chip without aliasing. An error of a few pixels costs more accuracy than the
// choice of the network, so tests hold the geometry to a fraction of a pixel. line.go
// defines how a line is sampled; amd64 computes the same bits in assembly.
package alignment
