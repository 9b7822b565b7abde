// Package modelzoo finds, verifies and downloads networks. A manifest in the
// models folder wins over the one that ships with imago, and a network file in
// the folder over one inside the binary. Nothing is trusted by its name: a file
// counts as the model's only if its size and SHA-256 are those of the manifest.
package modelzoo
