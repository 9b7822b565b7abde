package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"imago/ports"
)

// payload is what a request body says, by the names of its members.
type payload struct {
	// face is the text between the quotes, not yet unescaped; nil when absent.
	face      []byte
	threshold float64
	limit     int
}

// field reads the value of one member into a payload. It answers a reason to
// refuse the value, or "".
type field func(p *payload, value []byte) (reason string)

// enrolFields are the members of an enrolment's body. Clients of the reference
// API send tracking on other calls.
var enrolFields = map[string]field{"face": readFace, "tracking": readTracking}

// searchFields are the members of a search's body.
var searchFields = map[string]field{
	"face": readFace, "tracking": readTracking, "threshold": readThreshold, "limit": readLimit,
}

// maxReasons bounds how many mistakes one answer lists. Behind the last of them
// nothing is read any more.
const maxReasons = 8

// parse reads a body strictly: member names are case-sensitive, unknown and
// repeated ones are refused by name, and so are values of a wrong type. All
// that is wrong is reported at once. Members that are absent, or null, keep the
// value that they have in p.
func parse(body []byte, fields map[string]field, p *payload) error {
	s := scanner{data: body}
	if err := s.open(); err != nil {
		return err
	}
	seen := make(map[string]bool, len(fields)) // by name, false for a null
	var wrong []string
	for {
		m, ok, err := s.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		reason, err := m.read(fields, seen, p)
		if err != nil {
			return err
		}
		if reason == "" {
			continue
		}
		if wrong = append(wrong, reason); len(wrong) == maxReasons {
			return ports.Refuse(ports.ErrInvalid, wrong...)
		}
	}
	if err := s.end(); err != nil {
		return err
	}
	if !seen["face"] {
		wrong = append(wrong, "face is required")
	}
	if len(wrong) > 0 {
		return ports.Refuse(ports.ErrInvalid, wrong...)
	}
	return nil
}

var errNotJSON = refuse("the request body is not valid JSON")

// read gives the member's value to its field.
func (m member) read(fields map[string]field, seen map[string]bool, p *payload) (reason string, err error) {
	var name string
	if json.Unmarshal(m.name, &name) != nil {
		return "", errNotJSON
	}
	// What face holds is judged by the base64 decoder, byte by byte.
	if isFace := name == "face" && m.value[0] == '"'; !isFace && !valid(m.value) {
		return "", errNotJSON
	}
	read, known := fields[name]
	_, twice := seen[name]
	switch {
	case !known:
		return "unknown field " + quote(name), nil
	case twice:
		seen[name] = true // that it is missing is not what is wrong
		return "duplicate field " + quote(name), nil
	}
	seen[name] = string(m.value) != "null"
	if !seen[name] {
		return "", nil
	}
	return read(p, m.value), nil
}

// quote puts a name that the client sent into an answer, at most 64 characters
// of it.
func quote(name string) string {
	const longest = 64
	count := 0
	for end := range name {
		if count++; count > longest {
			name = name[:end] + "…"
			break
		}
	}
	return strconv.Quote(name)
}

func readFace(p *payload, value []byte) string {
	if value[0] != '"' {
		return "face must be a string"
	}
	p.face = value[1 : len(value)-1]
	return ""
}

// maxTracking bounds what a client may send to be traced by, in bytes of JSON.
const maxTracking = 1 << 10

// readTracking accepts an object and ignores it.
func readTracking(_ *payload, value []byte) string {
	switch {
	case value[0] != '{':
		return "tracking must be an object"
	case len(value) > maxTracking:
		return fmt.Sprintf("tracking must be at most %d bytes of JSON", maxTracking)
	}
	return ""
}

func readThreshold(p *payload, value []byte) string {
	number, ok := readNumber(value)
	if !ok {
		return "threshold must be a number"
	}
	p.threshold = number
	return ""
}

// readLimit takes whole numbers only; 10.0 is one, as in JSON Schema. Those
// beyond any limit become one that is certain to be refused.
func readLimit(p *payload, value []byte) string {
	number, ok := readNumber(value)
	if !ok || number != math.Trunc(number) {
		return "limit must be an integer"
	}
	p.limit = int(min(max(number, math.MinInt32), math.MaxInt32))
	return ""
}

// readNumber reads a JSON number. One too large for a float64 is infinite,
// which is beyond every bound that the core checks.
func readNumber(value []byte) (number float64, ok bool) {
	if c := value[0]; c != '-' && (c < '0' || c > '9') {
		return 0, false
	}
	number, err := strconv.ParseFloat(string(value), 64)
	return number, err == nil || errors.Is(err, strconv.ErrRange)
}

// pictureTooLarge refuses a picture by the limit that it exceeds.
func pictureTooLarge(limit int) error {
	return ports.Refuse(ports.ErrTooLarge, fmt.Sprintf("the provided image exceeds the maximum supported size of %s", size(limit)))
}

// size writes a number of bytes for people, MB being 2^20 bytes.
func size(n int) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
