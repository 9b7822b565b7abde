package transfer

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"imago/core/vectorstore"
	"imago/ports"
)

// The file is JSON Lines (jsonlines.org), UTF-8: a header, a line for each face
// in the order of the header's collections and then of ports.VectorStore.Scan,
// and a last line with the sums, which a truncated file lacks.
const (
	formatName    = "imago-gallery"
	formatVersion = 1
	chipsVersion  = 2 // that of a file with chips, which an earlier imago refuses
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
	// ExpiresAt is left out where the user does not expire. An imago from before there were
	// expiries refuses a file that has one.
	ExpiresAt string `json:"expiresAt,omitempty"`
	// Vector is base64 (RFC 4648, padded) of little-endian binary32 numbers.
	Vector string `json:"vector"`
	// Chip is likewise base64, of what the store has: the chip as it was encrypted for this
	// collection, user and face. It is left out where the face has none.
	Chip string `json:"chip,omitempty"`
}

// endLine is the last line.
type endLine struct {
	End []Sum `json:"end"`
}

// bodyLine is any line after the header.
type bodyLine struct {
	faceLine
	endLine
}

// newFaceLine returns the line of a record. It refuses one that could not be imported.
func newFaceLine(r ports.Record, dimension int) (faceLine, error) {
	if err := vectorstore.ValidateRecord(r, dimension); err != nil {
		return faceLine{}, err
	}
	at := r.EnrolledAt.UTC()
	if at.Year() < 0 || at.Year() > 9999 {
		return faceLine{}, fmt.Errorf("%w: enrolled in the year %d", ports.ErrInvalid, at.Year())
	}
	l := faceLine{
		Collection: r.Collection, UserID: r.UserID, FaceID: r.FaceID, Owner: r.Owner,
		EnrolledAt: at.Format(timeLayout),
		Vector:     base64.StdEncoding.EncodeToString(appendVector(nil, r.Vector)),
	}
	l.Chip = base64.StdEncoding.EncodeToString(r.Chip)
	if !r.ExpiresAt.IsZero() {
		l.ExpiresAt = r.ExpiresAt.UTC().Format(timeLayout)
	}
	return l, nil
}

// record returns the checked record of a line.
func (l faceLine) record(dimension int) (ports.Record, error) {
	r := ports.Record{Collection: l.Collection, UserID: l.UserID, FaceID: l.FaceID, Owner: l.Owner}
	var err error
	if r.Vector, err = decodeVector(l.Vector, dimension); err != nil {
		return ports.Record{}, err
	}
	if r.EnrolledAt, err = parseTime("enrolledAt", l.EnrolledAt); err != nil {
		return ports.Record{}, err
	}
	if r.Chip, err = decodeChip(l.Chip); err != nil {
		return ports.Record{}, err
	}
	if l.ExpiresAt != "" {
		if r.ExpiresAt, err = parseTime("expiresAt", l.ExpiresAt); err != nil {
			return ports.Record{}, err
		}
	}
	return r, vectorstore.ValidateRecord(r, dimension)
}

func parseTime(member, text string) (time.Time, error) {
	t, err := time.Parse(timeLayout, text)
	if err != nil || t.Format(timeLayout) != text {
		return time.Time{}, fmt.Errorf("%w: %s must be a time like %s", ports.ErrInvalid, member, timeLayout)
	}
	return t, nil
}

// decodeVector decodes a vector. Only the canonical encoding is accepted: the decoder of
// package base64 alone would skip line breaks.
func decodeVector(text string, dimension int) ([]float32, error) {
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

// decodeChip is likewise for a chip, nil for none.
func decodeChip(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	encoding := base64.StdEncoding.Strict()
	data, err := encoding.DecodeString(text)
	if err != nil || encoding.EncodedLen(len(data)) != len(text) {
		return nil, fmt.Errorf("%w: chip is not valid base64", ports.ErrInvalid)
	}
	return data, nil
}

// maxLine is the longest line accepted, in bytes: the vector, the chip, and far more than
// everything else at its longest with every byte escaped.
func maxLine(dimension int) int {
	return 64<<10 + base64.StdEncoding.EncodedLen(4*dimension) + base64.StdEncoding.EncodedLen(ports.MaxChipBytes)
}

// decode reads one line strictly.
func decode(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%w: %s must not be of type %s", ports.ErrInvalid, wrong.Field, wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("%w: not a line of an export: %w", ports.ErrInvalid, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON object", ports.ErrInvalid)
	}
	return nil
}
