// Package extraction turns the bytes of a picture into a template: decode,
// detect, choose the face, align, embed. It bounds how many pictures are worked
// on and how many wait, so that further ones are refused at once under overload.
package extraction
