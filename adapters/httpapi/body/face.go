package body

import (
	"bytes"
	"encoding/base64"
	"strconv"
)

// The kinds of character that matter in the text of a face.
const (
	classLetter   = 1 << iota // A-Z, a-z, 0-9: in both alphabets
	classStandard             // + and / (RFC 4648, section 4)
	classURLSafe              // - and _ (RFC 4648, section 5)
	classPadding              // =
	classSpace                // white space, which is left out
	classDot                  // the separator of a compact JWE
	classOther                // anything else
)

// classes maps each byte to its class.
var classes = func() (table [256]uint8) {
	for i := range table {
		table[i] = classOther
	}
	for _, set := range []struct {
		characters string
		class      uint8
	}{
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", classLetter},
		{"+/", classStandard}, {"-_", classURLSafe}, {"=", classPadding}, {" \t\r\n", classSpace}, {".", classDot},
	} {
		for _, c := range []byte(set.characters) {
			table[c] = set.class
		}
	}
	return table
}()

var errNotBase64 = refuse("face is not valid base64")

// Face is the text of a face without white space and without the head of a data URL.
type Face struct {
	Text    []byte
	IsToken bool  // not a picture
	found   uint8 // the classes of its characters
}

// ReadFace prepares the text of a face, which is what stands between the quotes in the
// JSON body. It overwrites that memory, and so does Decode.
//
// Base64 has no dots, and a JWE in compact serialization (RFC 7516, section 7.1)
// has four: a text with four dots is meant as a token, however damaged the rest
// may be, and nothing else is.
func ReadFace(text []byte) (Face, error) {
	text, ok := unescape(text)
	if !ok {
		return Face{}, errNotJSON
	}
	whole := bytes.Trim(text, jsonSpace)
	text, ok = withoutDataPrefix(whole)
	if !ok {
		return Face{}, errNotBase64
	}
	if len(text) == 0 {
		return Face{}, refuse("face must not be empty")
	}
	found := classesOf(text)
	token := found&classDot != 0 && len(text) == len(whole) && bytes.Count(text, []byte(".")) == 4
	if found&classSpace != 0 {
		text = withoutSpace(text)
	}
	return Face{Text: text, IsToken: token, found: found}, nil
}

// Decode returns the bytes of a picture, at most limit of them. They lie in the
// memory of the text: a picture of megabytes is held once.
func (f Face) Decode(limit int) ([]byte, error) {
	encoding := alphabet(f.found)
	text, ok := withoutPadding(f.Text)
	if !ok {
		return nil, errNotBase64
	}
	if encoding.DecodedLen(len(text)) > limit {
		return nil, PictureTooLarge(limit)
	}
	return decodeInPlace(encoding, text)
}

// classesOf returns the classes of all characters, or-ed.
func classesOf(text []byte) (found uint8) {
	for _, c := range text {
		found |= classes[c]
	}
	return found
}

// alphabet picks the alphabet of a text by the classes found in it. It refuses
// characters of the other one.
func alphabet(found uint8) *base64.Encoding {
	if found&classURLSafe != 0 {
		return base64.RawURLEncoding
	}
	return base64.RawStdEncoding
}

// withoutDataPrefix removes the head of a data URL (RFC 2397) in base64, such as
// data:image/jpeg;base64, and answers ok = false to any other data URL. The media
// type may be any, or none: senders do not know it, and the decoder finds out.
func withoutDataPrefix(text []byte) (rest []byte, ok bool) {
	const scheme, marker = "data:", "base64"
	if len(text) < len(scheme) || !bytes.EqualFold(text[:len(scheme)], []byte(scheme)) {
		return text, true
	}
	head, rest, ok := bytes.Cut(text[len(scheme):], []byte(","))
	head = bytes.ToLower(head[:min(len(head), 256)])
	parameter := head[bytes.LastIndexByte(head, ';')+1:]
	return rest, ok && isPrintable(head) && len(parameter) < len(head) && string(bytes.Trim(parameter, jsonSpace)) == marker
}

// isPrintable reports whether a text is printable ASCII and white space. The head of
// a data URL is the one part of the body that no other check looks at.
func isPrintable(text []byte) bool {
	for _, c := range text {
		if c >= 0x7f || c < ' ' && classes[c] != classSpace {
			return false
		}
	}
	return true
}

// withoutSpace closes the gaps that white space leaves, in place.
func withoutSpace(text []byte) []byte {
	out := text[:0]
	for _, c := range text {
		if classes[c] != classSpace {
			out = append(out, c)
		}
	}
	return out
}

// withoutPadding removes the padding, which must be complete where there is
// any.
func withoutPadding(text []byte) (rest []byte, ok bool) {
	rest = bytes.TrimRight(text, "=")
	padding := len(text) - len(rest)
	return rest, padding == 0 || padding <= 2 && len(text)%4 == 0
}

// decodeInPlace decodes chunk by chunk: the decoder may write past what it has
// read, a copy of three bytes for every four read cannot.
func decodeInPlace(encoding *base64.Encoding, text []byte) ([]byte, error) {
	var scratch [3 << 10]byte
	out := text[:0]
	for len(text) > 0 {
		chunk := text[:min(len(text), len(scratch)/3*4)]
		n, err := encoding.Decode(scratch[:], chunk)
		if err != nil {
			return nil, errNotBase64
		}
		out = append(out, scratch[:n]...)
		text = text[len(chunk):]
	}
	return out, nil
}

// unescape resolves the escapes of a JSON string (RFC 8259, section 7) in
// place. Some encoders write / as \/ and + as \u002B, so that pictures arrive
// with an escape in every line. A character beyond ASCII becomes NUL: base64
// has neither.
func unescape(text []byte) (out []byte, ok bool) {
	n := bytes.IndexByte(text, '\\')
	if n < 0 {
		return text, true
	}
	for out = text[:0]; n >= 0; n = bytes.IndexByte(text, '\\') {
		out = append(out, text[:n]...)
		c, length, ok := unescapeOne(text[n:])
		if !ok {
			return nil, false
		}
		out = append(out, c)
		text = text[n+length:]
	}
	return append(out, text...), true
}

// unescapeOne resolves the escape at the start of a text and returns its
// length.
func unescapeOne(text []byte) (c byte, length int, ok bool) {
	if len(text) < 2 {
		return 0, 0, false
	}
	switch text[1] {
	case '"', '\\', '/':
		return text[1], 2, true
	case 'b', 'f':
		return 0, 2, true
	case 'n', 'r', 't':
		return ' ', 2, true
	case 'u':
		return unescapeUnit(text)
	}
	return 0, 0, false
}

// unescapeUnit resolves \uXXXX.
func unescapeUnit(text []byte) (c byte, length int, ok bool) {
	const whole = len(`\u0000`)
	if len(text) < whole {
		return 0, 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:whole]), 16, 16)
	if err != nil {
		return 0, 0, false
	}
	if unit > 0x7f {
		unit = 0
	}
	return byte(unit), whole, true
}
