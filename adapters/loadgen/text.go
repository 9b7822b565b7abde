package loadgen

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// WriteText writes runs as a table with a line for each operation, and below it
// what was shed and what failed.
func WriteText(out io.Writer, runs []Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "at once\trate/s\tserved/s\toperation\tcount\tmean\tp50\tp90\tp95\tp99\tp99.9\tmax ms\tshed\tfailed\t")
	for _, r := range runs {
		writeRun(w, r)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range runs {
		if err := writeNotes(out, r); err != nil {
			return err
		}
	}
	return nil
}

func writeRun(w io.Writer, r Report) {
	rate, shed := "–", int64(0)
	if r.Rate > 0 {
		rate = strconv.FormatFloat(r.Rate, 'f', -1, 64)
	}
	if r.Shed != nil {
		shed = r.Shed.Count
	}
	operations := r.Operations
	if len(operations) != 1 {
		operations = append([]Operation{{"all", r.Served}}, operations...)
	}
	for i, o := range operations {
		before, behind := "\t\t\t", "\t\t\n"
		if i == 0 {
			before, behind = fmt.Sprintf("%d\t%s\t%.1f\t", r.Concurrency, rate, r.Throughput), fmt.Sprintf("%d\t%d\t\n", shed, r.Failed())
		}
		fmt.Fprintf(w, "%s%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%s", before, o.Name, o.Count, o.Mean, o.P50, o.P90, o.P95, o.P99, o.P999, o.Max, behind)
	}
}

func writeNotes(out io.Writer, r Report) error {
	var notes []string
	if r.Interrupted {
		notes = append(notes, fmt.Sprintf("interrupted after %.1f s", r.Duration))
	}
	if r.Unfound > 0 {
		notes = append(notes, fmt.Sprintf("%d searches found nobody", r.Unfound))
	}
	if r.Unsent > 0 {
		notes = append(notes, fmt.Sprintf("%d arrivals found no free connection before the end: the rate was not kept, and the latencies are those of the others", r.Unsent))
	}
	if r.Shed != nil {
		notes = append(notes, r.Shed.words())
	}
	for _, f := range r.Failures {
		notes = append(notes, fmt.Sprintf("%d × %s: %s: %q", f.Count, f.Operation, f.Class, f.Example))
	}
	for _, note := range notes {
		if _, err := fmt.Fprintf(out, "%d at once: %s\n", r.Concurrency, note); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shed) words() string {
	advice := "without Retry-After"
	if a := s.RetryAfter; a.Given > 0 {
		advice = fmt.Sprintf("Retry-After %d to %d s on %d of them", a.Min, a.Max, a.Given)
	}
	return fmt.Sprintf("%d shed (503): p50 %.1f ms, p99 %.1f ms, max %.1f ms; %s", s.Count, s.P50, s.P99, s.Max, advice)
}
