// Package calibration gives similarity its meaning: it maps the cosine
// similarity of two templates, whose scale differs from network to network, to
// a percentage that stands for the same false match rate whatever the network.
package calibration
