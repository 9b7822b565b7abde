// Package console is the page for people: a self-contained web application,
// embedded in the binary and served by imago itself, that enrols, searches and
// unenrols through the public API with a key that it asks for, and a rendering
// of the API's description. Nothing of it comes from elsewhere, nothing is
// built, and a strict content security policy holds for every part.
package console
