package transfer

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"imago/ports"
)

// The file is JSON Lines (jsonlines.org), UTF-8: a header, a line for each face
// in the order of the header's collections and then of ports.VectorStore.Scan,
// and an end with the sums, by which a truncated file is known.
const (
	formatName    = "imago-gallery"
	formatVersion = 1
	// timeLayout is RFC 3339 in UTC with exactly six digits of a second.
	timeLayout = "2006-01-02T15:04:05.000000Z"
)

// header is the first line.
type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Space is the ID of the embedding space and Model the network's name.
	Space       string   `json:"space"`
	Model       string   `json:"model"`
	Collections []string `json:"collections"`
}

// faceLine is the line of one face.
type faceLine struct {
	Collection string `json:"collection"`
	UserID     string `json:"userId"`
	FaceID     string `json:"faceId"`
	Owner      string `json:"owner"`
	EnrolledAt string `json:"enrolledAt"`
	// Vector is base64 (RFC 4648, padded) of little-endian binary32 numbers.
	Vector string `json:"vector"`
}

// endLine is the last line.
type endLine struct {
	End []sumLine `json:"end"`
}

type sumLine struct {
	Collection string `json:"collection"`
	Users      int    `json:"users"`
	Faces      int    `json:"faces"`
	SHA256     string `json:"sha256"`
}

// bodyLine is any line behind the header.
type bodyLine struct {
	faceLine
	endLine
}

// faceOf returns the line of a record. It refuses what could not be read again.
func faceOf(r ports.Record, dimension int) (faceLine, error) {
	if err := ports.ValidateRecord(r, dimension); err != nil {
		return faceLine{}, err
	}
	at := r.EnrolledAt.UTC()
	if at.Year() < 0 || at.Year() > 9999 {
		return faceLine{}, fmt.Errorf("%w: a time of enrolment in the year %d", ports.ErrInvalid, at.Year())
	}
	return faceLine{
		Collection: r.Collection, UserID: r.UserID, FaceID: r.FaceID, Owner: r.Owner,
		EnrolledAt: at.Format(timeLayout),
		Vector:     base64.StdEncoding.EncodeToString(appendVector(nil, r.Vector)),
	}, nil
}

// record returns the face of a line, checked like any record.
func (l faceLine) record(dimension int) (ports.Record, error) {
	r := ports.Record{Collection: l.Collection, UserID: l.UserID, FaceID: l.FaceID, Owner: l.Owner}
	var err error
	if r.Vector, err = vectorOf(l.Vector, dimension); err != nil {
		return ports.Record{}, err
	}
	if err := ports.ValidateRecord(r, dimension); err != nil {
		return ports.Record{}, err
	}
	r.EnrolledAt, err = time.Parse(timeLayout, l.EnrolledAt)
	if err != nil || r.EnrolledAt.Format(timeLayout) != l.EnrolledAt {
		return ports.Record{}, fmt.Errorf("%w: enrolledAt must be a time like %s", ports.ErrInvalid, timeLayout)
	}
	return r, nil
}

// vectorOf decodes a vector. Only the one canonical spelling is taken: the
// decoder of package base64 would skip line breaks.
func vectorOf(text string, dimension int) ([]float32, error) {
	encoding := base64.StdEncoding.Strict()
	if len(text) != encoding.EncodedLen(4*dimension) {
		return nil, fmt.Errorf("%w: vector must be base64 of %d little-endian float32", ports.ErrInvalid, dimension)
	}
	data, err := encoding.DecodeString(text)
	if err != nil || len(data) != 4*dimension {
		return nil, fmt.Errorf("%w: vector is not valid base64", ports.ErrInvalid)
	}
	v := make([]float32, dimension)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return v, nil
}

// linesOf returns sums as they stand in the last line.
func linesOf(sums []Sum) []sumLine {
	lines := make([]sumLine, len(sums))
	for i, s := range sums {
		lines[i] = sumLine{s.Collection, s.Users, s.Faces, hex.EncodeToString(s.SHA256[:])}
	}
	return lines
}

// maxLine is the longest line accepted, in bytes: the vector, and everything
// else at its longest with every byte escaped, many times over.
func maxLine(dimension int) int { return 64<<10 + base64.StdEncoding.EncodedLen(4*dimension) }

// decode reads one line strictly.
func decode(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%w: %s is a %s, which it may not be", ports.ErrInvalid, wrong.Field, wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("%w: not a line of an export: %w", ports.ErrInvalid, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON object", ports.ErrInvalid)
	}
	return nil
}
