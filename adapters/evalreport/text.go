package evalreport

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Text returns the report for a terminal.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Decision.Sentence)
	for _, s := range r.Decision.Next {
		fmt.Fprintln(&b, "next:", s)
	}
	b.WriteByte('\n')
	r.summary(&b)
	r.verification(&b)
	r.identification(&b)
	r.groups(&b)
	r.proposal(&b)
	for _, s := range r.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s", s)
	}
	if len(r.Warnings) > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

func (r *Report) summary(b *strings.Builder) {
	fmt.Fprintf(b, "%s: people %s, pictures %s: %s evaluated, %s without a face, %s unusable; the quality gate refuses %s\n",
		printable(r.Folder), thousands(r.People), thousands(r.Pictures), thousands(r.Evaluated), thousands(r.NoFace.Count), thousands(r.Unusable.Count), thousands(r.Refused.Count))
	fmt.Fprintf(b, "pairs of one person %s, of strangers %s\n", thousands(r.MatedPairs), thousands(r.StrangerPairs))
	if r.RankOne.Trials > 0 {
		fmt.Fprintf(b, "rank-1 %s: %s\n", countText(r.RankOne), rateWithBounds(r.RankOne))
	}
	b.WriteString("milliseconds a picture:")
	for _, s := range r.Stages {
		fmt.Fprintf(b, " %s %s", s.Name, number(s.Milliseconds))
	}
	b.WriteByte('\n')
}

func (r *Report) verification(b *strings.Builder) {
	t := newTable(b, "\nTwo pictures", "FMR\tcosine\tsimilarity\tbasis\tFNMR")
	for _, row := range r.Verification {
		t.row(percentage(row.Target), row)
	}
	t.row("80 % today", r.Present)
	t.end()
}

func (r *Report) identification(b *strings.Builder) {
	t := newTable(b, fmt.Sprintf("\nA search among %s people, from the pairs", thousands(r.Gallery)), "FPIR\tcosine\tsimilarity\tbasis\tFNIR")
	for _, i := range r.Identification {
		t.row(percentage(i.FPIR), i.Row)
	}
	t.end()
	t = newTable(b, fmt.Sprintf("\nSearches counted among %s pictures", thousands(r.SearchGallery)), "FPIR\tcosine\tsimilarity\tbasis\tFNIR")
	for _, row := range r.Searches {
		t.row(percentage(row.Target), row)
	}
	t.end()
}

func (r *Report) groups(b *strings.Builder) {
	if len(r.Groups) == 0 {
		return
	}
	t := newTable(b, "\nGroups, at 80 % today", "group\tpeople\tpictures\trank-1\tFMR\tFNMR")
	for _, g := range r.Groups {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(g.Name), thousands(g.People), thousands(g.Evaluated), countText(g.RankOne), rateWithBounds(g.Present.False), rateWithBounds(g.Present.Missed))
	}
	t.end()
}

func (r *Report) proposal(b *strings.Builder) {
	if r.Proposal == nil {
		fmt.Fprintf(b, "\n%s\n", r.NoProposal)
		return
	}
	provisional := ""
	if r.Proposal.Provisional {
		provisional = ", provisional"
	}
	fmt.Fprintf(b, "\nProposed calibration%s\n%s", provisional, r.Proposal.Stanza)
}

// table writes aligned columns.
type table struct{ *tabwriter.Writer }

func newTable(b *strings.Builder, title, head string) table {
	fmt.Fprintln(b, title)
	t := table{tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t, head)
	return t
}

func (t table) row(name string, r Row) {
	if !r.Known() {
		fmt.Fprintf(t, "%s\t%s\t–\t%s\t–\n", name, threshold(r), basisText(r))
		return
	}
	fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", name, threshold(r), similarity(r.Percent), basisText(r), rateWithBounds(r.Missed))
}

func (t table) end() { _ = t.Flush() } // into a buffer
