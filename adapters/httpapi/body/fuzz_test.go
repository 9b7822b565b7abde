package body

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzBody holds the reading of bodies against encoding/json and
// encoding/base64: on a text that is JSON both come to the same result and the
// same picture, and a text that is accepted without being JSON differs from JSON
// by what is tolerated only.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"face":"QUJD"}`, `{"face":"QUJD","explain":true}`, `{"face":"QUJD","explain":1}`, `{"face":"QUJD","threshold":75.5,}`, `{"face":"QU\nJD","limit":1e1}`, `{"face":"-_-_"}`,
		`{"face":"data:image/png;base64,QQ==","tracking":{"a":[1,"]",],}}`, `{"f\u0061ce":"QU\u0042\/"}`,
		"{\"face\":\"QU\nJD\"}", `{"face":"QUJD","face":""}`, `{"face":"a.b.c.d.e"}`, `{"threshold":1e999}`, `[{}]`, `{"a":"\"}`,
		`{"face":"\ud83d\ude00"}`, `{"":null}`, `{"face":"Q Q = ="}`, " \n", `{"tracking":{"face":"x"},"face":"QQ"} {`,
		"\ufeff{\"face\":\"QQ\"}", "\ufeff\ufeff{}", "\xff\xfe{\x00}\x00", `{"face":"QQ","threshold":null,"limit":null,"tracking":null}`, `{"face":null,"face":"QQ"}`,
		`{"face":"QQ","tracking":{"a":"` + strings.Repeat("x", 1017) + `"}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		original := bytes.Clone(body)
		var p Request
		err := Parse(body, SearchFields, &p)
		require.Equal(t, original, body, "parsing changes nothing")
		body = bytes.TrimPrefix(body, []byte(byteOrderMark))
		original = bytes.TrimPrefix(original, []byte(byteOrderMark))
		if !json.Valid(body) || !utf8.Valid(body) {
			if err != nil {
				return
			}
			if _, err := decodeFace(p.Face, len(body)); err == nil {
				require.True(t, json.Valid(withoutTrailingCommas(flatten(original))), "%q was accepted", original)
			}
			return
		}
		face, ok := parseSlowly(body)
		require.Equal(t, ok, err == nil, "%q: %v", body, err)
		if !ok {
			return
		}
		picture, err := decodeFace(p.Face, len(body))
		want, ok := decodeSlowly(face)
		require.Equal(t, ok, err == nil, "%q: %v", body, err)
		require.Equal(t, string(want), string(picture))
	})
}

// FuzzFace takes a text for the field face of a body, and for a picture. A text
// that is a JSON string decodes as package base64 decodes it, or is refused where
// that refuses it, and the same without anything that the picture's limit has no
// room for. A picture comes out of every spelling of it as it went in.
func FuzzFace(f *testing.F) {
	for i, text := range []string{
		"QUJD", "QUI=", "QQ", "-_-_", "+/+/", "+_", "Q Q = =", `QU\nJD`, `\u0051Q==`, "data:image/png;base64,QUJD", "DATA:IMAGE/;BASE64,QQ",
		"data:text/plain;base64,QUJD", "data:;base64,QUJD", "data:*/*;charset=utf-8; BASE64 ,QUJD", "data:base64,QUJD", "data:,QUJD", "a.b.c.d.e", "e30....", "data:image/png;base64,a.b.c.d.e", "Q===", "QR==", "\x00", `\ud83d\ude00`, "é", strings.Repeat("QUJD", 2000),
	} {
		f.Add([]byte(text), uint8(i))
	}
	f.Fuzz(func(t *testing.T, text []byte, style uint8) {
		requireFace(t, text)
		if len(text) > 0 {
			spelt := spell(text, style)
			got, err := decodeFace(bytes.Clone(spelt), len(text))
			require.NoError(t, err, "%q", spelt)
			require.Equal(t, string(text), string(got), "%q", spelt)
			_, err = decodeFace(spelt, len(text)-1)
			require.Error(t, err, "it is above the limit")
		}
	})
}

// requireFace holds what becomes of a text against what package base64 makes of
// it.
func requireFace(t *testing.T, text []byte) {
	t.Helper()
	var face string
	if quoted := append(append([]byte{'"'}, text...), '"'); !utf8.Valid(text) || json.Unmarshal(quoted, &face) != nil {
		return
	}
	want, ok := decodeSlowly(face)
	got, err := decodeFace(bytes.Clone(text), len(text))
	require.Equal(t, ok, err == nil, "%q: %v", text, err)
	if ok {
		require.Equal(t, string(want), string(got))
	} else {
		dots := strings.Count(strings.Trim(face, " \t\r\n"), ".")
		isURL := strings.HasPrefix(strings.ToLower(strings.Trim(face, " \t\r\n")), "data:")
		require.Equal(t, dots == 4 && !isURL, errors.Is(err, errToken), "%q: %v", text, err)
	}
}

// spell writes a picture as base64 in one of the ways in which clients do.
func spell(picture []byte, style uint8) []byte {
	encoding := []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding}[style%4]
	text := encoding.EncodeToString(picture)
	if style&4 != 0 {
		text = strings.NewReplacer("/", `\/`, "+", `\u002B`, "A", `\u0041`).Replace(text)
	}
	if style&8 != 0 {
		text = " " + text[:len(text)/2] + "\r\n\t" + text[len(text)/2:] + "\n"
		if style&4 != 0 {
			text = encoding.EncodeToString(picture) // no break inside of an escape
			text = text[:len(text)/2] + `\r\n` + text[len(text)/2:]
		}
	}
	if style&16 != 0 {
		text = "Data:image/x;charset=y;Base64," + strings.TrimSpace(text)
	}
	return []byte(text)
}

// errToken says that a face is a token.
var errToken = errors.New("token")

// decodeFace reads a face that is a picture.
func decodeFace(text []byte, limit int) ([]byte, error) {
	face, err := ReadFace(text)
	if err != nil {
		return nil, err
	}
	if face.IsToken {
		return nil, errToken
	}
	return face.Decode(limit)
}

// flatten makes raw line breaks and tabs spaces.
func flatten(body []byte) []byte {
	return []byte(strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(string(body)))
}

// parseSlowly reads a valid JSON text by tokens.
func parseSlowly(body []byte) (face string, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return "", false
	}
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return "", false
		}
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return "", false
		}
		kinds := map[string]string{"face": `"`, "threshold": "-0123456789", "limit": "-0123456789", "tracking": "{", "explain": "tf"}
		key := name.(string)
		if _, twice := seen[key]; twice || kinds[key] == "" {
			return "", false
		}
		if seen[key] = string(raw) != "null"; !seen[key] {
			continue
		}
		if !strings.Contains(kinds[key], string(raw[0])) || key == "tracking" && len(raw) > 1024 {
			return "", false
		}
		if key == "face" && json.Unmarshal(raw, &face) != nil {
			return "", false
		}
		if _, whole := readNumber(raw); key == "limit" && (!whole || readLimit(&Request{}, raw) != "") {
			return "", false
		}
	}
	return face, seen["face"]
}

var dataPrefix = regexp.MustCompile(`(?is)^data:[^,]*;[ \t\r\n]*base64[ \t\r\n]*,`)

// decodeSlowly decodes base64 as README.md here describes it.
func decodeSlowly(face string) (picture []byte, ok bool) {
	face = strings.Trim(face, " \t\r\n")
	if strings.HasPrefix(strings.ToLower(face), "data:") {
		head := dataPrefix.FindString(face)
		strange := func(r rune) bool { return r > '~' || r < ' ' && !strings.ContainsRune("\t\r\n", r) }
		if head == "" || len(head) > 256 || strings.ContainsFunc(head, strange) {
			return nil, false
		}
		face = face[len(head):]
	}
	face = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(face)
	if strings.ContainsAny(face, "+/") && strings.ContainsAny(face, "-_") || face == "" {
		return nil, false
	}
	face = strings.NewReplacer("-", "+", "_", "/").Replace(face)
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(face, "=") {
		encoding = base64.StdEncoding
	}
	picture, err := encoding.DecodeString(face)
	if err != nil {
		return nil, false
	}
	return picture, true
}

// Pictures decode to what went in, those whose lengths are about one and two
// chunks above all.
func TestDecodeInPlaceAtManyLengths(t *testing.T) {
	const chunk = 3 << 10
	data := make([]byte, 2*chunk+10)
	for i := range data {
		data[i] = byte(i * 31)
	}
	for n := 1; n <= len(data); n++ {
		if n%chunk > 10 && n%chunk < chunk-10 {
			continue
		}
		text := []byte(base64.StdEncoding.EncodeToString(data[:n]))
		got, err := decodeFace(text, n)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data[:n], got), "length %d", n)
		_, err = decodeFace([]byte(base64.RawURLEncoding.EncodeToString(data[:n])), n-1)
		require.Error(t, err)
	}
}
