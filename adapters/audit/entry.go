package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"imago/ports"
)

// maxName bounds the names in a line, in bytes: those that a client made up may
// be as long as a request's header. The longest user ID has 256.
const maxName = 256

// line is the JSON of an entry.
type line struct {
	Time       string   `json:"time"`
	Phase      string   `json:"phase"`
	RequestID  string   `json:"request_id"`
	TraceID    string   `json:"trace_id,omitempty"`
	Client     string   `json:"client"`
	Address    string   `json:"address"`
	Operation  string   `json:"operation"`
	Collection string   `json:"collection"`
	UserID     string   `json:"user_id,omitempty"`
	Status     int      `json:"status,omitempty"`
	Reasons    []string `json:"reasons,omitempty"`
	Faces      int      `json:"faces,omitempty"`
	Search     *search  `json:"search,omitempty"`
	DurationMS float64  `json:"duration_ms"`
}

// search is the part of a line that only searches have.
type search struct {
	Threshold  float64 `json:"threshold"`
	Limit      int     `json:"limit"`
	MatchCount int     `json:"match_count"`
	Matches    []match `json:"matches,omitempty"`
}

type match struct {
	UserID     string  `json:"user_id,omitempty"`
	Similarity float64 `json:"similarity"`
}

// encode returns the line of an entry, its line feed included. Whatever bytes
// the names contain, the JSON encoding keeps them within their string.
func encode(e ports.AuditEntry, withMatches bool) ([]byte, error) {
	out := line{
		Time: e.Time.UTC().Format(time.RFC3339Nano), Phase: e.Phase,
		RequestID: e.RequestID, TraceID: e.TraceID, Client: e.Client, Address: e.Address,
		Operation: e.Operation, Collection: clip(e.Collection), UserID: clip(e.UserID),
		Status: e.Status, Reasons: e.Reasons, Faces: e.Faces,
		DurationMS: float64(e.Duration.Microseconds()) / 1000,
	}
	if e.Limit > 0 {
		out.Search = newSearch(e, withMatches)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func newSearch(e ports.AuditEntry, withMatches bool) *search {
	s := &search{Threshold: e.Threshold, Limit: e.Limit, MatchCount: len(e.Matches)}
	if !withMatches {
		return s
	}
	for _, m := range e.Matches {
		s.Matches = append(s.Matches, match{UserID: m.UserID, Similarity: m.Similarity})
	}
	return s
}

// clip cuts a name that is too long, between two characters.
func clip(name string) string {
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
