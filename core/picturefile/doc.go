// Package picturefile decides which files of a folder are pictures that imago
// accepts, and reads them within a size limit. Every command that reads a
// folder of pictures uses these rules: by the content of a file, as in the API,
// not by its name.
package picturefile
