// Package picturefile says which files of a folder are pictures that imago
// works on, and reads them within bounds. Every command that goes through a
// folder of pictures judges files by these rules: by their content, as the API
// does, and not by their names.
package picturefile
