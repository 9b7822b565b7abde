package body

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"imago/adapters/httpapi/fairlimit"
)

// body5MB is a search with a picture of the largest size.
func body5MB() []byte {
	picture := make([]byte, 5<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range picture {
		picture[i] = byte(random.Uint32())
	}
	return []byte(`{"face":"` + base64.StdEncoding.EncodeToString(picture) + `","threshold":75.5}`)
}

func benchmarkBody(b *testing.B, body []byte, read func(body []byte) error) {
	scratch := make([]byte, len(body)) // decoding overwrites the body
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		copy(scratch, body)
		if err := read(scratch); err != nil {
			b.Fatal(err)
		}
	}
}

func readBoth(body []byte) error {
	var p Request
	if err := Parse(body, SearchFields, &p); err != nil {
		return err
	}
	_, err := decodeFace(p.Face, 5<<20)
	return err
}

// BenchmarkParse reads JSON and base64 of a 5 MB picture in the forms that
// encoders make.
func BenchmarkParse(b *testing.B) {
	plain := body5MB()
	b.Run("plain", func(b *testing.B) { benchmarkBody(b, plain, readBoth) })
	escaped := []byte(strings.NewReplacer("+", `\u002B`, "/", `\/`).Replace(string(plain)))
	b.Run("escaped", func(b *testing.B) { benchmarkBody(b, escaped, readBoth) })
	var wrapped bytes.Buffer
	for i, c := range plain {
		if wrapped.WriteByte(c); i > 9 && i < len(plain)-30 && i%76 == 0 {
			wrapped.WriteByte('\n')
		}
	}
	b.Run("wrapped", func(b *testing.B) { benchmarkBody(b, wrapped.Bytes(), readBoth) })
}

// BenchmarkParseStdlib is the same by encoding/json's decoder and
// encoding/base64.
func BenchmarkParseStdlib(b *testing.B) {
	benchmarkBody(b, body5MB(), func(body []byte) error {
		var p struct {
			Face      string  `json:"face"`
			Threshold float64 `json:"threshold"`
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&p); err != nil {
			return err
		}
		_, err := base64.StdEncoding.DecodeString(p.Face)
		return err
	})
}

func BenchmarkReadAll(b *testing.B) {
	body := body5MB()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		room := &Allocation{all: fairlimit.New(int64(len(body)) + 1)}
		if _, err := readAll(bytes.NewReader(body), int64(len(body)), room); err != nil {
			b.Fatal(err)
		}
	}
}
