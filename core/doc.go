// Package core is what imago is, free of technology: the rules of a gallery
// (gallery) and of names (naming), the way from a picture to a template
// (extraction), face alignment (alignment), the quality gate at enrolment
// (quality), the meaning of a similarity percentage (calibration) and how it is
// measured (evaluation), what all stores have in common (vectorstore), the events
// of a part that is lost for a while (outage), and the long runs of the commands:
// enrolling a folder (bulk, picturefile) and copying a gallery (transfer, retry). Its packages import ports, each other and the standard
// library; the few exceptions are listed in test/arch.
package core
