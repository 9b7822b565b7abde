package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"imago/ports"
)

// maxName bounds the names in a line, in bytes: those from a request may be as long as
// its header. The longest user ID has 256.
const maxName = 256

// line is the JSON of an entry.
type line struct {
	Time       string     `json:"time"`
	Phase      string     `json:"phase"`
	RequestID  string     `json:"request_id"`
	TraceID    string     `json:"trace_id,omitempty"`
	Client     string     `json:"client"`
	Address    string     `json:"address"`
	Operation  string     `json:"operation"`
	Collection string     `json:"collection"`
	UserID     string     `json:"user_id,omitempty"`
	FaceID     string     `json:"face_id,omitempty"`
	Status     int        `json:"status,omitempty"`
	Reasons    []string   `json:"reasons,omitempty"`
	Resembled  *resembled `json:"resembled,omitempty"`
	Faces      int        `json:"faces,omitempty"`
	Search     *search    `json:"search,omitempty"`

	Verification *verification   `json:"verification,omitempty"`
	Collections  []string        `json:"collections,omitempty"`
	Searches     []listSearch    `json:"searches,omitempty"`
	Tracking     json.RawMessage `json:"tracking,omitempty"`

	DurationMS float64 `json:"duration_ms"`
}

// search is the part of a line that only searches have.
type search struct {
	Threshold  float64 `json:"threshold"`
	Limit      int     `json:"limit"`
	Purpose    string  `json:"purpose,omitempty"`
	MatchCount int     `json:"match_count"`
	Matches    []match `json:"matches,omitempty"`
}

// listSearch is one search of several.
type listSearch struct {
	Face       int    `json:"face"`
	Collection string `json:"collection"`
	search
}

// verification is the part of a line that only verifications have.
type verification struct {
	Threshold  float64  `json:"threshold"`
	Match      bool     `json:"match"`
	Similarity *float64 `json:"similarity,omitempty"`
}

// resembled is the part of a line that refusals of guards have.
type resembled struct {
	Collection string  `json:"collection"`
	UserID     string  `json:"user_id"`
	Similarity float64 `json:"similarity"`
}

type match struct {
	UserID     string  `json:"user_id,omitempty"`
	Similarity float64 `json:"similarity"`
}

// encode returns the line of an entry with its line feed. The JSON encoding escapes
// whatever bytes the names contain.
func encode(e ports.AuditEntry, withMatches bool) ([]byte, error) {
	out := line{
		Time: e.Time.UTC().Format(time.RFC3339Nano), Phase: e.Phase,
		RequestID: e.RequestID, TraceID: e.TraceID, Client: e.Client, Address: e.Address,
		Operation: e.Operation, Collection: truncate(e.Collection), UserID: truncate(e.UserID), FaceID: truncate(e.FaceID),
		Status: e.Status, Reasons: e.Reasons, Faces: e.Faces,
		DurationMS: float64(e.Duration.Microseconds()) / 1000,
	}
	for _, name := range e.Collections {
		out.Collections = append(out.Collections, truncate(name))
	}
	for _, s := range e.Searches {
		out.Searches = append(out.Searches, listSearch{s.Face, s.Collection, newSearch(s.Threshold, e, s.Matches, withMatches)})
	}
	if e.Limit > 0 && e.Collections == nil {
		one := newSearch(e.Threshold, e, e.Matches, withMatches)
		out.Search = &one
	}
	if e.Tracking != nil {
		out.Tracking = json.RawMessage(lineSeparators.Replace(string(e.Tracking)))
	}
	if v := e.Verification; v != nil {
		out.Verification = &verification{Threshold: e.Threshold, Match: v.Match}
		if withMatches {
			out.Verification.Similarity = v.Similarity
		}
	}
	if r := e.Resembled; r != nil && withMatches {
		out.Resembled = &resembled{r.Collection, r.UserID, r.Similarity}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// lineSeparators escapes what some readers of lines take for the end of one. In JSON they
// are in strings only.
var lineSeparators = strings.NewReplacer("\u0085", `\u0085`, "\u2028", `\u2028`, "\u2029", `\u2029`)

func newSearch(threshold float64, e ports.AuditEntry, matches []ports.AuditMatch, withMatches bool) search {
	s := search{Threshold: threshold, Limit: e.Limit, Purpose: e.Purpose, MatchCount: len(matches)}
	if !withMatches {
		return s
	}
	for _, m := range matches {
		s.Matches = append(s.Matches, match{UserID: m.UserID, Similarity: m.Similarity})
	}
	return s
}

// truncate shortens a name to maxName bytes, at a rune boundary.
func truncate(name string) string {
	if len(name) <= maxName {
		return name
	}
	end := maxName
	for end > 0 && !utf8.RuneStart(name[end]) {
		end--
	}
	var b strings.Builder
	b.WriteString(name[:end])
	b.WriteString("…")
	return b.String()
}
