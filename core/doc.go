// Package core is what imago is, free of technology: the rules of a gallery
// (gallery), the way from a picture to a template (extraction), face alignment
// (alignment), the quality gate at enrolment (quality) and the meaning of a
// similarity percentage (calibration). Everything below it imports ports and
// the standard library only.
package core
