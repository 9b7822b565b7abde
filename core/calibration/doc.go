// Package calibration maps the cosine similarity of two templates, whose scale
// differs from network to network, to a percentage that stands for the same false
// match rate with every network.
package calibration
