package config

import (
	"fmt"
	"slices"
	"strings"
)

// Error lists everything that is wrong with a file and the environment, so that
// it can be mended in one go.
type Error struct {
	// Source is the file, or "environment" where there is none.
	Source string
	// Problems are one line each, "path: rule" with the path in the names of
	// the YAML keys and, where it is known, the place that set the value in
	// brackets. They never contain a value.
	Problems []string
}

// Error returns the source and, below it, one line per problem.
func (e *Error) Error() string {
	noun := "problems"
	if len(e.Problems) == 1 {
		noun = "problem"
	}
	return fmt.Sprintf("config: %s has %d %s:\n  %s", e.Source, len(e.Problems), noun, strings.Join(e.Problems, "\n  "))
}

// report gathers problems and remembers which line or variable set what.
type report struct {
	problems []string
	failed   []string          // paths that could not be set
	origins  map[string]string // path: "line 3" or the name of a variable
	redacted bool              // nothing of the text may be repeated, not even unknown keys
}

func newReport() *report { return &report{origins: map[string]string{}} }

// add notes a problem with what is at a path; the path of the whole document is
// empty.
func (r *report) add(path, rule string) {
	line := rule
	if path != "" {
		line = path + ": " + rule
	}
	if origin := r.origin(path); origin != "" {
		line += " (" + origin + ")"
	}
	r.problems = append(r.problems, line)
}

// addHere notes a problem whose rule names the place itself.
func (r *report) addHere(path, rule string) {
	if path != "" {
		rule = path + ": " + rule
	}
	r.problems = append(r.problems, rule)
}

// origin returns what set a path or, where nothing did, the section that it is
// missing from.
func (r *report) origin(path string) string {
	for {
		origin, known := r.origins[path]
		dot := strings.LastIndexByte(path, '.')
		if known || dot < 0 {
			return origin
		}
		path = path[:dot]
	}
}

// fail notes that a value could not be set. What validation would say of the
// value that stands there instead is of no interest.
func (r *report) fail(path, rule string) {
	r.add(path, rule)
	r.failed = append(r.failed, path)
}

// hasFailed reports whether a path could not be set: itself, what contains it, or
// an entry of it.
func (r *report) hasFailed(path string) bool {
	return slices.ContainsFunc(r.failed, func(f string) bool {
		return f == "" || path == f || strings.HasPrefix(path, f+".") || strings.HasPrefix(path, f+"[") || strings.HasPrefix(f, path+"[")
	})
}

// err returns an *Error with all problems, or nil when there are none.
func (r *report) err(source string) error {
	if len(r.problems) == 0 {
		return nil
	}
	return &Error{Source: source, Problems: r.problems}
}
