// Package pages reads the documentation for tests: the Markdown files of this
// repository, their sections, and the blocks of commands in them. So tests can run
// what a page tells its reader to type, and check what it says against the code.
package pages
