// Package evaluation measures how well a network tells people apart on labelled
// pictures: it compares every picture with every other one, counts false
// matches and false non-matches at every threshold, and fits the curve that
// turns cosines into percentages. The terms are those of ISO/IEC 19795-1:2021
// and of NIST's Face Recognition Technology Evaluation: a mated pair shows one
// person, a non-mated pair two people, called strangers here.
package evaluation
