package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzBody holds the reading of bodies against encoding/json and
// encoding/base64: on a text that is JSON both come to the same verdict and the
// same picture, and a text that is accepted without being JSON differs from JSON
// by what is tolerated only.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"face":"QUJD"}`, `{"face":"QUJD","threshold":75.5,}`, `{"face":"QU\nJD","limit":1e1}`, `{"face":"-_-_"}`,
		`{"face":"data:image/png;base64,QQ==","tracking":{"a":[1,"]",],}}`, `{"f\u0061ce":"QU\u0042\/"}`,
		"{\"face\":\"QU\nJD\"}", `{"face":"QUJD","face":""}`, `{"face":"a.b.c.d.e"}`, `{"threshold":1e999}`, `[{}]`, `{"a":"\"}`,
		`{"face":"\ud83d\ude00"}`, `{"":null}`, `{"face":"Q Q = ="}`, " \n", `{"tracking":{"face":"x"},"face":"QQ"} {`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		original := bytes.Clone(body)
		var p payload
		err := parse(body, searchFields, &p)
		require.Equal(t, original, body, "parsing changes nothing")
		if !json.Valid(body) || !utf8.Valid(body) {
			if err != nil {
				return
			}
			if _, err := decodeFace(p.face, len(body)); err == nil {
				require.True(t, json.Valid(withoutTrailingCommas(flatten(original))), "%q was accepted", original)
			}
			return
		}
		face, ok := parseSlowly(body)
		require.Equal(t, ok, err == nil, "%q: %v", body, err)
		if !ok {
			return
		}
		picture, err := decodeFace(p.face, len(body))
		want, ok := decodeSlowly(face)
		require.Equal(t, ok, err == nil, "%q: %v", body, err)
		require.Equal(t, string(want), string(picture))
	})
}

// decodeFace reads a face that is a picture.
func decodeFace(text []byte, limit int) ([]byte, error) {
	face, err := readFaceText(text)
	if err != nil {
		return nil, err
	}
	if face.token {
		return nil, errToken
	}
	return face.decode(limit)
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
		kinds := map[string]string{"face": `"`, "threshold": "-0123456789", "limit": "-0123456789", "tracking": "{"}
		key := name.(string)
		if seen[key] || kinds[key] == "" || !strings.Contains(kinds[key], string(raw[0])) {
			return "", false
		}
		seen[key] = true
		if key == "face" && json.Unmarshal(raw, &face) != nil {
			return "", false
		}
		if _, whole := readNumber(raw); key == "limit" && (!whole || readLimit(&payload{}, raw) != "") {
			return "", false
		}
	}
	return face, seen["face"]
}

var dataPrefix = regexp.MustCompile(`(?is)^data:image/[^,]*;base64,`)

// decodeSlowly decodes base64 as the README describes it.
func decodeSlowly(face string) (picture []byte, ok bool) {
	face = strings.Trim(face, " \t\r\n")
	if strings.HasPrefix(strings.ToLower(face), "data:") {
		head := dataPrefix.FindString(face)
		if head == "" || len(head) > 256 {
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
