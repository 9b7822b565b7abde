package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"imago/config/regularfile"
	"imago/core/transfer"
)

// transferResult is the result of an import or a migration in JSON.
type transferResult struct {
	Collections transfer.Report `json:"collections"`
	// Verified are the sums of both sides of a migration, which are equal.
	Verified []transfer.Sum `json:"verified,omitempty"`
}

// sumsText returns a line for each collection.
func sumsText(sums []transfer.Sum) string {
	var b strings.Builder
	for _, s := range sums {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// outcomesText returns a line for each collection.
func outcomesText(report transfer.Report) string {
	var b strings.Builder
	for _, o := range report {
		fmt.Fprintf(&b, "%s: users %d, faces %d: %d added, %d there already, %d in conflict", o.Collection, o.Users, o.Faces, o.Added, o.Same, o.Conflicts)
		if o.Extra > 0 {
			fmt.Fprintf(&b, "; the target has %d other faces", o.Extra)
		}
		if o.Expired > 0 {
			fmt.Fprintf(&b, "; %d of users who have expired were left out", o.Expired)
		}
		if o.Chips > 0 {
			fmt.Fprintf(&b, "; %d with their chips", o.Chips)
		}
		if o.ChipsLeft > 0 {
			fmt.Fprintf(&b, "; %d chips were left behind: the configuration does not keep them (keep_chips)", o.ChipsLeft)
		}
		if o.LeftOut > 0 {
			fmt.Fprintf(&b, "; %d were left out, and with them all of %d users", o.LeftOut, o.UsersLeftOut)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// printConflicts prints the conflicts, and warns of collections that are not configured.
func printConflicts(errs io.Writer, report transfer.Report, configured []string) {
	for _, o := range report {
		for _, c := range o.Examples {
			fmt.Fprintf(errs, "conflict in %s: user %+q, face %+q: %s\n", c.Collection, c.UserID, c.FaceID, c.Reason)
		}
		if more := o.Conflicts - len(o.Examples); more > 0 {
			fmt.Fprintf(errs, "conflict in %s: %d more\n", o.Collection, more)
		}
		if !slices.Contains(configured, o.Collection) && o.Faces > 0 {
			fmt.Fprintf(errs, "warning: the target's configuration has no collection %s: no request reaches it until it does\n", o.Collection)
		}
	}
}

// notNil makes an empty list [] in JSON.
func notNil[S ~[]E, E any](list S) S { return append(S{}, list...) }

// list is what a run reports one by one: in a file of JSON Lines, where one is wanted, and
// the first of it. Calls do not overlap.
type list[T any] struct {
	n     int
	most  int
	first []T
	file  *os.File // nil for none
	lines *json.Encoder
}

// newList begins a list of which the first are kept, at most a number of them. Its file
// replaces an earlier one of that name, and is for the owner alone: user IDs are personal data.
func newList[T any](path string, most int) (*list[T], error) {
	l := &list[T]{most: most, lines: json.NewEncoder(io.Discard)}
	if path != "" {
		file, err := regularfile.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		l.file, l.lines = file, json.NewEncoder(file)
	}
	l.lines.SetEscapeHTML(false)
	return l, nil
}

// add writes an entry at once, so that an interrupted run leaves a list.
func (l *list[T]) add(entry T) error {
	if l.n++; len(l.first) < l.most {
		l.first = append(l.first, entry)
	}
	return l.lines.Encode(entry)
}

func (l *list[T]) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
