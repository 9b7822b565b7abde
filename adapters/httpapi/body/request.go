package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"imago/ports"
)

// Request is what a body says, by the names of its members.
type Request struct {
	// Face is the text between the quotes, not yet unescaped; nil if absent. See ReadFace.
	Face      []byte
	Threshold float64
	// HasThreshold says that the body has one.
	HasThreshold bool
	Limit        int
	Explain      bool
	// ExpiresAt is zero if absent.
	ExpiresAt time.Time
	// Collections are the names of those to search, each once; not checked further.
	Collections []string
	// AllFaces asks for every face in place of the largest.
	AllFaces bool
	// Tracking is the JSON of an object of the client's, as it came; nil if absent.
	Tracking []byte
	// Purpose is PurposeClosest or, for an ordinary search, empty.
	Purpose string
}

// PurposeClosest marks a search that only looks who is closest, after one that found
// nobody.
const PurposeClosest = "closest"

// Fields are the members that a body may have.
type Fields map[string]field

// field reads the value of one member into a Request. It returns a reason to refuse the
// value, or "".
type field func(r *Request, value []byte) (reason string)

// PictureFields are the members of a body with a picture alone. Clients of the reference
// API send tracking on other calls.
var PictureFields = Fields{"face": readFace, "tracking": readTracking}

// EnrolFields are the members of an enrolment's body.
var EnrolFields = Fields{"face": readFace, "tracking": readTracking, "explain": readExplain, "expiresAt": readExpiresAt}

// SearchFields are the members of a search's body.
var SearchFields = Fields{
	"face": readFace, "tracking": readTracking, "threshold": readThreshold, "limit": readLimit, "explain": readExplain, "purpose": readPurpose,
}

// VerifyFields are the members of a verification's body.
var VerifyFields = Fields{"face": readFace, "tracking": readTracking, "threshold": readThreshold, "explain": readExplain}

// FacesFields are the members of the body of a search in several collections.
var FacesFields = Fields{
	"face": readFace, "tracking": readTracking, "collections": readCollections, "faces": readFaces,
	"threshold": readThreshold, "limit": readLimit, "explain": readExplain, "purpose": readPurpose,
}

// MaxReasons bounds how many mistakes one answer lists. Behind the last of them
// nothing is read any more.
const MaxReasons = 8

// Parse reads a body strictly: member names are case-sensitive, unknown and
// repeated ones are refused by name, and so are values of a wrong type. All
// that is wrong is reported at once. Members that are absent, or null, keep the
// value that they have in r.
func Parse(text []byte, fields Fields, r *Request) error {
	s := scanner{data: text}
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
		reason, err := m.read(fields, seen, r)
		if err != nil {
			return err
		}
		if reason == "" {
			continue
		}
		if wrong = append(wrong, reason); len(wrong) == MaxReasons {
			return ports.Refuse(ports.ErrInvalid, wrong...)
		}
	}
	if err := s.end(); err != nil {
		return err
	}
	for _, name := range []string{"face", "collections"} {
		if fields[name] != nil && !seen[name] {
			wrong = append(wrong, name+" is required")
		}
	}
	if len(wrong) > 0 {
		return ports.Refuse(ports.ErrInvalid, wrong...)
	}
	return nil
}

var errNotJSON = refuse("the request body is not valid JSON")

// read gives the member's value to its field.
func (m member) read(fields Fields, seen map[string]bool, r *Request) (reason string, err error) {
	var name string
	if json.Unmarshal(m.name, &name) != nil {
		return "", errNotJSON
	}
	// What face holds is checked by the base64 decoder, byte by byte.
	if isFace := name == "face" && m.value[0] == '"'; !isFace && !valid(m.value) {
		return "", errNotJSON
	}
	read, known := fields[name]
	_, twice := seen[name]
	switch {
	case !known:
		return "unknown field " + Quote(name), nil
	case twice:
		seen[name] = true // that it is missing is not what is wrong
		return "duplicate field " + Quote(name), nil
	}
	seen[name] = string(m.value) != "null"
	if !seen[name] {
		return "", nil
	}
	return read(r, m.value), nil
}

// Quote returns a name that a client sent as it is shown in an answer: quoted, and at
// most 64 characters of it.
func Quote(name string) string {
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

func readFace(r *Request, value []byte) string {
	if value[0] != '"' {
		return "face must be a string"
	}
	r.Face = value[1 : len(value)-1]
	return ""
}

const (
	// maxTracking bounds what a client may send to be traced by, in bytes of JSON, and
	// maxDepth how deeply that is nested.
	maxTracking, maxDepth = 1 << 10, 16
	// maxCollections bounds the names in a body, in bytes of JSON.
	maxCollections = 8 << 10
)

// readTracking takes an object whose members mean nothing here.
func readTracking(r *Request, value []byte) string {
	switch {
	case value[0] != '{':
		return "tracking must be an object"
	case len(value) > maxTracking:
		return fmt.Sprintf("tracking must be at most %d bytes of JSON", maxTracking)
	}
	value = bytes.Clone(value) // the body is not kept as long
	if !json.Valid(value) {
		value = withoutTrailingCommas(value)
	}
	if depth(value) > maxDepth {
		return fmt.Sprintf("tracking must not have objects and arrays nested deeper than %d", maxDepth)
	}
	r.Tracking = value
	return ""
}

// depth returns how deeply the objects and arrays of a JSON text are nested.
func depth(text []byte) (deepest int) {
	tokens, open := json.NewDecoder(bytes.NewReader(text)), 0
	for {
		token, err := tokens.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			open++
			deepest = max(deepest, open)
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
}

// readCollections takes the names of collections, each once.
func readCollections(r *Request, value []byte) string {
	const form = `collections must be an array of names, as in ["users","blacklist"]`
	var names []*string
	switch {
	case value[0] != '[':
		return form
	case len(value) > maxCollections:
		return fmt.Sprintf("collections must be at most %d bytes of JSON", maxCollections)
	case !json.Valid(value):
		value = withoutTrailingCommas(value)
	}
	if json.Unmarshal(value, &names) != nil || slices.Contains(names, nil) {
		return form
	}
	if len(names) == 0 {
		return "collections must name at least one collection"
	}
	for _, name := range names {
		if *name == "" {
			return form
		}
		if slices.Contains(r.Collections, *name) {
			return fmt.Sprintf("collections names %s twice", Quote(*name))
		}
		r.Collections = append(r.Collections, *name)
	}
	return ""
}

// readFaces takes the one word that it may be.
func readFaces(r *Request, value []byte) string {
	var faces string
	if json.Unmarshal(value, &faces) != nil || faces != "all" {
		return `faces must be "all"; leave it out for the largest face`
	}
	r.AllFaces = true
	return ""
}

func readThreshold(r *Request, value []byte) string {
	number, ok := readNumber(value)
	if !ok {
		return "threshold must be a number"
	}
	r.Threshold, r.HasThreshold = number, true
	return ""
}

// readLimit takes whole numbers only; 10.0 is one, as in JSON Schema. Those
// beyond any limit become one that is certain to be refused.
func readLimit(r *Request, value []byte) string {
	number, ok := readNumber(value)
	if !ok || number != math.Trunc(number) {
		return "limit must be an integer"
	}
	r.Limit = int(min(max(number, math.MinInt32), math.MaxInt32))
	return ""
}

// readExplain takes the two booleans only: what is merely like one is a mistake.
func readExplain(r *Request, value []byte) string {
	switch string(value) {
	case "true", "false":
		r.Explain = string(value) == "true"
		return ""
	}
	return "explain must be true or false"
}

// readExpiresAt takes a time of RFC 3339; fractions below a microsecond are left out. Whether
// it is in the future is for the core to say.
func readExpiresAt(r *Request, value []byte) string {
	var at time.Time
	// The library takes a comma before the fraction, which RFC 3339 does not.
	if value[0] != '"' || bytes.ContainsRune(value, ',') || at.UnmarshalJSON(value) != nil {
		return "expiresAt must be a date and time with a time zone such as 2030-01-31T18:00:00Z (RFC 3339)"
	}
	r.ExpiresAt = at.UTC().Truncate(time.Microsecond)
	if at.IsZero() { // which would be none
		r.ExpiresAt = time.Unix(0, 0)
	}
	return ""
}

func readPurpose(r *Request, value []byte) string {
	if json.Unmarshal(value, &r.Purpose) != nil || r.Purpose != PurposeClosest {
		return fmt.Sprintf("purpose must be %q; leave it out of an ordinary search", PurposeClosest)
	}
	return ""
}

// ParseNumber reads the text of a JSON number. One too large for a float64 is infinite,
// which is beyond every bound that the core checks.
func ParseNumber(text []byte) (number float64, ok bool) {
	if !json.Valid(text) {
		return 0, false
	}
	return readNumber(text)
}

// readNumber is ParseNumber of a text that is JSON.
func readNumber(value []byte) (number float64, ok bool) {
	if c := value[0]; c != '-' && (c < '0' || c > '9') {
		return 0, false
	}
	number, err := strconv.ParseFloat(string(value), 64)
	return number, err == nil || errors.Is(err, strconv.ErrRange)
}

// PictureTooLarge refuses a picture by the limit that it exceeds.
func PictureTooLarge(limit int) error {
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
