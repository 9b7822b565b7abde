// Package core is what imago is, free of technology: the rules of a gallery
// (gallery), the way from a picture to a template (extraction), face alignment
// (alignment), the quality gate at enrolment (quality), the meaning of a
// similarity percentage (calibration) and how it is measured (evaluation).
// Everything below it imports ports and the standard library only.
package core
