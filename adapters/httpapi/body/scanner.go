package body

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"imago/ports"
)

// A body is a flat object with one string of up to megabytes and a few small
// members. scanner cuts it into members so that the string is looked for its
// end only, with the speed of bytes.IndexByte, and everything else goes through
// encoding/json; the decoder of encoding/json takes five times as long for a
// 5 MB picture, and 29 MB of memory (BenchmarkParse, BenchmarkParseStdlib).
// FuzzBody holds the two to the same result.
//
// Beyond RFC 8259 it accepts a comma before a closing brace or bracket, because
// the reference's own search sample has one, and, inside face, raw line breaks
// and tabs, because `base64` wraps its lines.
type scanner struct {
	data []byte
	pos  int
}

// member is one name and value of an object, both as they stand in the text. A
// value other than a string is not yet known to be sound.
type member struct{ name, value []byte }

// next returns the next member of the object, or ok = false behind the last.
// The scanner must have been opened.
func (s *scanner) next() (m member, ok bool, err error) {
	if s.peek() == '}' {
		s.pos++
		return member{}, false, nil
	}
	if m.name, err = s.str(); err != nil {
		return member{}, false, err
	}
	if s.peek() != ':' {
		return member{}, false, s.syntax()
	}
	s.pos++
	if m.value, err = s.value(); err != nil {
		return member{}, false, err
	}
	switch s.peek() {
	case ',':
		s.pos++
	case '}':
	default:
		return member{}, false, s.syntax()
	}
	return m, true, nil
}

// byteOrderMark may stand before a text in UTF-8 (RFC 8259, section 8.1).
const byteOrderMark = "\xef\xbb\xbf"

// open enters the object.
func (s *scanner) open() error {
	if bytes.HasPrefix(s.data, []byte(byteOrderMark)) {
		s.pos = len(byteOrderMark)
	}
	switch {
	case isUTF16Or32(s.data):
		return refuse("the request body is in UTF-16 or UTF-32: send it in UTF-8")
	case !utf8.Valid(s.data):
		return refuse("the request body is not valid UTF-8")
	case len(bytes.TrimLeft(s.data[s.pos:], jsonSpace)) == 0:
		return refuse("the request body is empty: send a JSON object")
	case s.peek() != '{':
		return refuse("the request body must be a JSON object")
	}
	s.pos++
	return nil
}

// isUTF16Or32 reports whether a text is in UTF-16 or UTF-32, by its byte order mark or
// because a character of ASCII begins or ends with a zero there.
func isUTF16Or32(text []byte) bool {
	if len(text) < 2 {
		return false
	}
	mark := string(text[:2])
	return mark == "\xfe\xff" || mark == "\xff\xfe" || text[0] == 0 || text[1] == 0
}

// end checks that nothing follows the object.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.data) {
		return refuse("the request body must be one JSON object and nothing else")
	}
	return nil
}

// jsonSpace is the white space of RFC 8259.
const jsonSpace = " \t\r\n"

// peek skips white space and returns the byte that follows, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// value returns the text of the value that follows.
func (s *scanner) value() ([]byte, error) {
	switch s.peek() {
	case '"':
		return s.str()
	case '{', '[':
		return s.nested()
	}
	start := s.pos
	n := bytes.IndexAny(s.data[start:], ",}]"+jsonSpace)
	if n <= 0 {
		return nil, s.syntax()
	}
	s.pos += n
	return s.data[start:s.pos], nil
}

// str returns the text of the string that follows, with its quotes. A quote
// behind an odd number of backslashes belongs to the string.
func (s *scanner) str() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.syntax()
	}
	start := s.pos
	for at := start + 1; ; {
		n := bytes.IndexByte(s.data[at:], '"')
		if n < 0 {
			s.pos = len(s.data)
			return nil, s.syntax()
		}
		segment := s.data[at : at+n]
		at += n + 1
		if backslashes := len(segment) - len(bytes.TrimRight(segment, `\`)); backslashes%2 == 0 {
			s.pos = at
			return s.data[start:at], nil
		}
	}
}

// nested returns the text of the object or array that follows: as far as its
// brackets balance.
func (s *scanner) nested() ([]byte, error) {
	start := s.pos
	for depth := 0; ; {
		switch s.peek() {
		case '"':
			if _, err := s.str(); err != nil {
				return nil, err
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.pos == len(s.data) {
			return nil, s.syntax()
		}
		s.pos++
		if depth == 0 {
			return s.data[start:s.pos], nil
		}
	}
}

// syntax is the error at the place where the text stops being JSON, counting bytes from
// 1.
func (s *scanner) syntax() error {
	if s.pos >= len(s.data) {
		return refuse("the request body is not valid JSON: it ends too early")
	}
	return refuse(fmt.Sprintf("the request body is not valid JSON at byte %d", s.pos+1))
}

// valid reports whether the text of a value is JSON but for trailing commas.
func valid(value []byte) bool {
	return json.Valid(value) || json.Valid(withoutTrailingCommas(value))
}

// withoutTrailingCommas returns a copy of a JSON text in which each comma
// between a value and a closing brace or bracket is a space.
func withoutTrailingCommas(text []byte) []byte {
	out := bytes.Clone(text)
	s := scanner{data: text}
	for last, comma := byte(0), -1; ; {
		c := s.peek()
		switch {
		case s.pos == len(text):
			return out
		case c == '"':
			if _, err := s.str(); err != nil {
				return out
			}
			last = c
			continue
		case (c == '}' || c == ']') && last == ',' && comma >= 0:
			out[comma] = ' '
		case c == ',':
			comma = s.pos
			if bytes.IndexByte([]byte("{[,:\x00"), last) >= 0 {
				comma = -1
			}
		}
		last = c
		s.pos++
	}
}

func refuse(reason string) error { return ports.Refuse(ports.ErrInvalid, reason) }
