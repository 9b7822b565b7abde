package ports

// Detection is what is found on a picture before anything is enrolled or
// searched with it.
type Detection struct {
	// Width and Height are the size of the upright original in pixels.
	Width, Height int
	// Faces are all faces, the largest first, in pixels of the upright
	// original. The first is the one that an enrolment and a search use.
	Faces []Face
	// Turn is by how many degrees clockwise, a multiple of 90 below 360, the picture
	// has to be turned for the first face to be upright: how it was looked at. The
	// landmarks tell the rest of a face's roll.
	Turn int
	// Reasons are those for which the picture would be refused at enrolment;
	// none means that it would be accepted.
	Reasons []string
}
