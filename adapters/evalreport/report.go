package evalreport

import (
	"encoding/json"
	"io"
	"time"

	"imago/core/evaluation"
)

// Report is everything that an evaluation says. Rates are parts of 1, cosines -1
// to 1, percentages 0 to 100.
type Report struct {
	Decision Decision `json:"decision"`

	Version  string    `json:"version"`
	Finished time.Time `json:"finished"`
	Folder   string    `json:"folder"` // its name, without the path
	Detector string    `json:"detector"`
	Embedder string    `json:"embedder"`

	People    int   `json:"people"`
	Pictures  int   `json:"pictures"`
	Evaluated int   `json:"evaluated"`
	NoFace    Share `json:"failureToDetect"`
	Unusable  Share `json:"unusable"`
	Refused   Share `json:"refusedByQuality"` // of the evaluated pictures
	NotEnrol  Share `json:"failureToEnrol"`   // all three, of all pictures

	MatedPairs    int   `json:"matedPairs"`
	StrangerPairs int   `json:"strangerPairs"`
	RankOne       Share `json:"rankOne"`

	// Present is the threshold of 80 % with the curve of the manifest.
	Present        Row              `json:"presentDefault"`
	Verification   []Row            `json:"verification"`
	Gallery        int              `json:"gallery"`
	Identification []Identification `json:"identification"`
	// Searches are counted among SearchGallery pictures.
	SearchGallery int   `json:"searchGallery"`
	Searches      []Row `json:"searches"`

	Proposal *Proposal `json:"proposal"`
	// NoProposal says why there is none.
	NoProposal string   `json:"noProposal,omitempty"`
	Groups     []Group  `json:"groups"`
	Warnings   []string `json:"warnings"`

	Stages   []Stage   `json:"stages"`
	Failures []Failure `json:"failures"`
	Closest  []Pair    `json:"closestStrangers"`
	Farthest []Pair    `json:"farthestMated"`

	curves curves
}

// Share is how often something happened. In JSON it has bounds of 95 % confidence;
// without a trial they and the rate mean nothing, and are null.
type Share evaluation.Proportion

func (s Share) rate() float64 { return evaluation.Proportion(s).Rate() }

func (s Share) interval() (low, high float64) { return evaluation.Proportion(s).Interval() }

// MarshalJSON implements json.Marshaler.
func (s Share) MarshalJSON() ([]byte, error) {
	out := struct {
		Count  int      `json:"count"`
		Trials int      `json:"trials"`
		Rate   *float64 `json:"rate"`
		Low    *float64 `json:"low"`
		High   *float64 `json:"high"`
	}{Count: s.Count, Trials: s.Trials}
	if s.Trials > 0 {
		low, high := s.interval()
		out.Rate, out.Low, out.High = new(s.rate()), &low, &high
	}
	return json.Marshal(out)
}

// Row is a threshold and the errors that were counted at it.
type Row struct {
	// Target is the wanted rate of false matches, 0 where the threshold was
	// given.
	Target float64 `json:"target,omitempty"`
	// Basis is measured, few, extrapolated or unknown; what is unknown has no
	// threshold.
	Basis evaluation.Basis `json:"basis"`
	// None is set where no threshold keeps the rate.
	None   bool    `json:"none,omitempty"`
	Cosine float64 `json:"cosine"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// Percent is by the curve of the manifest, Proposed by the proposed one.
	Percent  float64 `json:"percent"`
	Proposed float64 `json:"proposedPercent,omitempty"`
	// Estimate is the rate of false matches as it was measured or, beyond that,
	// extrapolated; 0, and absent in JSON, for unknown.
	Estimate float64 `json:"estimate,omitempty"`
	False    Share   `json:"falseMatches"`
	Missed   Share   `json:"falseNonMatches"`
}

// Known reports whether there is a threshold. A given one is known even if its rate is
// not.
func (r Row) Known() bool { return !r.None && (r.Basis != evaluation.Unknown || r.Target == 0) }

// Identification is a threshold for a wanted rate of false positives among the
// gallery of the report.
type Identification struct {
	FPIR float64 `json:"fpir"`
	Row
}

// Proposal is a calibration for the manifest.
type Proposal struct {
	Midpoint    float64 `json:"midpoint"`
	Steepness   float64 `json:"steepness"`
	Provisional bool    `json:"provisional"`
	At80        Row     `json:"at80"`
	Stanza      string  `json:"stanza"` // YAML
}

// Group is what was measured within a group of people.
type Group struct {
	Name          string `json:"name"`
	People        int    `json:"people"`
	Evaluated     int    `json:"evaluated"`
	Lost          Share  `json:"failureToAcquire"`
	StrangerPairs int    `json:"strangerPairs"`
	RankOne       Share  `json:"rankOne"`
	// Present is at 80 % of the manifest, Proposed at 80 % of the proposal.
	Present  Row  `json:"present"`
	Proposed *Row `json:"proposed"`
}

// Stage is the mean time that a step took for a picture.
type Stage struct {
	Name         string  `json:"name"`
	Milliseconds float64 `json:"milliseconds"`
}

// Failure is a file that was skipped, or would be refused at enrolment.
type Failure struct {
	Path   string                 `json:"path"`
	Kind   evaluation.FailureKind `json:"kind"`
	Reason string                 `json:"reason"`
}

// Pair is two pictures and their score.
type Pair struct {
	A       string  `json:"a"`
	B       string  `json:"b"`
	Cosine  float64 `json:"cosine"`
	Percent float64 `json:"percent"`
}

// JSON writes the report as one indented object.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// File is a part of the report that is kept in a file of its own.
type File struct {
	Name string
	// Write writes it; nil where the run leaves nothing to show.
	Write func(io.Writer) error
}

// Files returns the parts of the report.
func (r *Report) Files() []File {
	all := []File{{"report.html", r.HTML}, {"evaluation.json", r.JSON}, {Name: "calibration.yaml"}}
	if r.Proposal != nil {
		all[2].Write = func(w io.Writer) error {
			_, err := io.WriteString(w, r.Proposal.Stanza)
			return err
		}
	}
	for _, c := range charts() {
		file := File{Name: c.name + ".png"}
		if r.shows(c) {
			file.Write = func(w io.Writer) error { return r.png(w, c) }
		}
		all = append(all, file)
	}
	return all
}
