package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"imago/core/transfer"
)

// printJSON prints a result for scripts.
func printJSON(out io.Writer, result any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(result)
}

// transferResult is what became of an import or a migration, in JSON.
type transferResult struct {
	Collections []outcomeResult `json:"collections"`
	// Verified is what both sides of a migration hold, where it is the same.
	Verified []sumResult `json:"verified,omitempty"`
}

// outcomeResult has numbers of faces, but for the users.
type outcomeResult struct {
	Collection string `json:"collection"`
	Users      int    `json:"users"`
	Faces      int    `json:"faces"`
	Added      int    `json:"added"`
	Same       int    `json:"same"` // that were there already
	Conflicts  int    `json:"conflicts"`
	Extra      int    `json:"extra"` // that only the target has
}

// sumResult is a transfer.Sum in JSON.
type sumResult struct {
	Collection string `json:"collection"`
	Users      int    `json:"users"`
	Faces      int    `json:"faces"`
	SHA256     string `json:"sha256"`
}

func outcomes(report transfer.Report) []outcomeResult {
	all := []outcomeResult{}
	for _, o := range report {
		all = append(all, outcomeResult{o.Collection, o.Users, o.Faces, o.Added, o.Same, o.Conflicts, o.Extra})
	}
	return all
}

func sumResults(sums []transfer.Sum) (all []sumResult) {
	for _, s := range sums {
		all = append(all, sumResult{s.Collection, s.Users, s.Faces, hex.EncodeToString(s.SHA256[:])})
	}
	return all
}

// printSums prints what each collection holds.
func printSums(out io.Writer, sums []transfer.Sum, format string) error {
	if format == "json" {
		return printJSON(out, append([]sumResult{}, sumResults(sums)...))
	}
	for _, s := range sums {
		if _, err := fmt.Fprintln(out, s); err != nil {
			return err
		}
	}
	return nil
}

// printReport prints what became of each collection.
func printReport(out io.Writer, report transfer.Report, format string) error {
	if format == "json" {
		return printJSON(out, transferResult{Collections: outcomes(report)})
	}
	return printOutcomes(out, report)
}

func printOutcomes(out io.Writer, report transfer.Report) error {
	for _, o := range report {
		line := fmt.Sprintf("%s: users %d, faces %d: %d added, %d there already, %d in conflict", o.Collection, o.Users, o.Faces, o.Added, o.Same, o.Conflicts)
		if o.Extra > 0 {
			line += fmt.Sprintf("; the target has %d other faces", o.Extra)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// complain names the conflicts, and collections that no request will reach.
func complain(errs io.Writer, report transfer.Report, configured []string) {
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
