// Package extraction turns the bytes of a picture into a template: decode,
// detect, choose the face, align, embed. It bounds how many pictures are worked
// on and how many wait, so that overload is answered at once instead of piling
// up.
package extraction
