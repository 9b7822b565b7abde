package ports

// Detection is what is found on a picture before anything is enrolled or
// searched with it.
type Detection struct {
	// Width and Height are the size of the upright original in pixels.
	Width, Height int
	// Faces are all faces, the largest first, in pixels of the upright
	// original. The first is the one that an enrolment and a search use.
	Faces []Face
	// Reasons are those for which the picture would be refused at enrolment;
	// none means that it would be accepted.
	Reasons []string
}
