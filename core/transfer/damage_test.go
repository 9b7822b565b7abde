package transfer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"imago/core/transfer"
	"imago/ports"
)

// damaged returns an export of three faces with one thing changed; line counts
// from 1.
func damaged(tb testing.TB, line int, change func(string) string) string {
	tb.Helper()
	s := open(tb)
	add(tb, s, gallery(11)[:3]...)
	lines := strings.SplitAfter(string(export(tb, s)), "\n")
	require.Len(tb, lines, 6)
	lines[line-1] = change(strings.TrimSuffix(lines[line-1], "\n")) + "\n"
	return strings.Join(lines, "")
}

func replace(old, with string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, with, 1) }
}

// field sets a field of a JSON line.
func field(name string, value any) func(string) string {
	return func(s string) string {
		var line map[string]any
		_ = json.Unmarshal([]byte(s), &line)
		line[name] = value
		changed, _ := json.Marshal(line)
		return string(changed)
	}
}

func vectorText(v ...float32) string {
	var b []byte
	for _, x := range v {
		bits := math.Float32bits(x)
		b = append(b, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	return base64.StdEncoding.EncodeToString(b)
}

func TestImportRefusesBadLines(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		line   int
		change func(string) string
		says   string
	}{
		"no header":                 {1, func(string) string { return `{"a":1}` }, "line 1: invalid input: not an export"},
		"not JSON":                  {1, func(string) string { return "PK\x03\x04" }, "not an export"},
		"version":                   {1, field("version", 3), "version 3; this imago reads versions 1 and 2"},
		"unknown header field":      {1, field("more", 1), `unknown field "more"`},
		"collection named twice":    {1, field("collections", []string{"users", "users"}), "named twice"},
		"no collection name":        {1, field("collections", []string{"Users"}), "line 1"},
		"too many collections":      {1, field("collections", make([]string, 66)), "more than 65"},
		"collections is a string":   {1, field("collections", "users"), "collections must not be of type string"},
		"unknown field":             {3, field("name", "x"), `line 3: invalid input: not a line of an export: json: unknown field "name"`},
		"broken JSON":               {3, replace(`"userId"`, `"userId`), "line 3"},
		"two objects in a line":     {3, func(s string) string { return s + s }, "line 3: invalid input: something follows"},
		"an empty line":             {3, func(string) string { return "" }, "line 3"},
		"a list":                    {3, func(string) string { return "[]" }, "line 3"},
		"null":                      {3, func(string) string { return "null" }, "line 3"},
		"another collection":        {3, field("collection", "vip"), "collection vip is not in the header"},
		"an empty user ID":          {3, field("userId", ""), "user ID must be 1 to 256 bytes long, not 0"},
		"a user ID that is too big": {3, field("userId", strings.Repeat("x", 257)), "user ID must be 1 to 256 bytes long, not 257"},
		"a control character":       {3, field("userId", "a\n"), "control characters"},
		"a bad face ID":             {3, field("faceId", ""), "face ID"},
		"a bad owner":               {3, field("owner", "\t"), "owner"},
		"a time without zone":       {3, field("enrolledAt", "2026-01-02T03:04:05"), "enrolledAt"},
		"a time of another zone":    {3, field("enrolledAt", "2026-01-02T03:04:05.000000+01:00"), "enrolledAt"},
		"nanoseconds":               {3, field("enrolledAt", "2026-01-02T03:04:05.000000001Z"), "enrolledAt"},
		"no such day":               {3, field("enrolledAt", "2026-02-30T03:04:05.000000Z"), "enrolledAt"},
		"a vector of seven":         {3, field("vector", vectorText(1, 0, 0, 0, 0, 0, 0)), "vector must be base64 of 8"},
		"a vector of nine":          {3, field("vector", vectorText(1, 0, 0, 0, 0, 0, 0, 0, 0)), "vector must be base64 of 8"},
		"no vector":                 {3, field("vector", ""), "vector must be base64"},
		"a vector as numbers":       {3, field("vector", []float32{1}), "vector must not be of type array"},
		"bad base64":                {3, field("vector", strings.Repeat("*", 44)), "not valid base64"},
		"line breaks in base64":     {3, field("vector", vectorText(1, 0, 0, 0, 0, 0, 0, 0)[:40]+"\n\n\n\n"), "not valid base64"},
		"no padding in base64":      {3, replace(`="}`, `"}`), "vector must be base64"},
		"stray bits in base64":      {3, field("vector", strings.Replace(vectorText(1, 0, 0, 0, 0, 0, 0, 0), "A=", "B=", 1)), "not valid base64"},
		"a comma in a time":         {3, field("enrolledAt", "2026-01-02T03:04:05,000000Z"), "enrolledAt"},
		"a vector that is too long": {3, field("vector", vectorText(1, 0.1, 0, 0, 0, 0, 0, 0)), "unit length"},
		"NaN":                       {3, field("vector", vectorText(nan, 0, 0, 0, 0, 0, 0, 0)), "unit length"},
		"the same face twice":       {3, func(s string) string { return s + "\n" + s }, "line 4: invalid input: the faces are not in order"},
		"a line that never ends":    {3, func(s string) string { return s + strings.Repeat(" ", 1<<17) }, "line 3: invalid input: longer than"},
		"a face that is gone":       {3, func(string) string { return `{"end":[]}` }, "line 4: invalid input: there are lines after the end"},
		"face and end in one":       {3, field("end", []any{}), "either a face or the end"},
		"another owner":             {3, field("owner", "mallory"), "counts and checksums"},
		"another checksum":          {5, otherChecksum, "counts and checksums"},
		"a longer checksum":         {5, replace(`"sha256":"`, `"sha256":"0`), "line 5: invalid input: not a line of an export: a SHA-256 must be"},
		"a checksum in capitals": {5, func(s string) string {
			return strings.Replace(s, digits.FindString(s), strings.ToUpper(digits.FindString(s)), 1)
		}, "a SHA-256 must be"},
		"another count": {5, replace(`"faces":3`, `"faces":2`), "counts and checksums"},
		"no end":        {5, func(string) string { return "" }, "line 5"},
	} {
		t.Run(name, func(t *testing.T) {
			file := damaged(t, c.line, c.change)
			_, err := transfer.Inspect(t.Context(), strings.NewReader(file), space)
			require.ErrorIs(t, err, ports.ErrInvalid)
			require.ErrorContains(t, err, c.says)

			to := open(t)
			_, streamed := transfer.Import(t.Context(), strings.NewReader(file), to, space, quick)
			require.EqualError(t, streamed, err.Error())
			if c.line < 3 {
				require.Empty(t, all(t, to))
			}
		})
	}
}

// Wherever a file is cut off, it is refused, and what was read of it is complete
// users only.
func TestImportRefusesATruncatedFile(t *testing.T) {
	from := filled(t, 2)
	file := export(t, from)
	whole := all(t, from)
	for cut := 0; cut < len(file)-1; cut += 1 + cut%7 {
		to := open(t)
		_, err := transfer.Import(t.Context(), bytes.NewReader(file[:cut]), to, space, quick)
		require.ErrorIs(t, err, ports.ErrInvalid, cut)
		if cut > bytes.IndexByte(file, '\n') {
			require.ErrorContains(t, err, "the file is truncated: it ends at line", cut)
		}
		require.Subset(t, append(whole, ports.Record{}), append(all(t, to), ports.Record{}), cut)
	}
	_, err := transfer.Inspect(t.Context(), bytes.NewReader(file[:bytes.LastIndexByte(file[:len(file)-1], '\n')+1]), space)
	require.ErrorContains(t, err, "the file is truncated: it ends at line")
}

// Whatever byte is flipped, the file is refused or means the same as before.
func TestImportNoticesEveryFlippedBit(t *testing.T) {
	s := open(t)
	add(t, s, gallery(11)[:3]...)
	file := export(t, s)
	whole, err := transfer.Inspect(t.Context(), bytes.NewReader(file), space)
	require.NoError(t, err)
	refused := 0
	for i := range file {
		for _, bit := range []int{0, 5, i % 8} {
			file[i] ^= 1 << bit
			contents, err := transfer.Inspect(t.Context(), bytes.NewReader(file), space)
			if err == nil {
				require.Equal(t, whole.Sums, contents.Sums, "byte %d, bit %d", i, bit)
			} else {
				refused++
			}
			file[i] ^= 1 << bit
		}
	}
	require.Greater(t, refused, 2*len(file))
}

var (
	checksum = regexp.MustCompile(`"sha256":"[0-9a-f]{64}"`)
	digits   = regexp.MustCompile(`[0-9a-f]{64}`)
)

// otherChecksum replaces the first checksum of a line.
func otherChecksum(line string) string {
	return strings.Replace(line, checksum.FindString(line), `"sha256":"`+strings.Repeat("0", 64)+`"`, 1)
}
