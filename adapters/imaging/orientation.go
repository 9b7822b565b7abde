package imaging

import (
	"bytes"
	"encoding/binary"
	"math"
)

// orientation is the Exif tag of that name (Exif 3.0, 4.6.5.1.6): how the
// stored rows and columns lie in the upright picture. 1 is upright, 0 unknown.
type orientation uint8

const upright orientation = 1

// exifPrefix stands before the TIFF structure in a JPEG's APP1 segment. A PNG's
// eXIf chunk holds the bare structure, but some writers put the prefix there
// too.
const exifPrefix = "Exif\x00\x00"

// Constants of TIFF 6.0, section 2, and its tag Orientation.
const (
	tiffMagic      = 42
	tiffHeaderSize = 8
	tiffEntrySize  = 12
	tiffShort      = 3
	tagOrientation = 0x0112
)

// parseOrientation reads the orientation from the first directory of an Exif structure,
// 0 where it is absent, malformed or out of range: a picture is never refused for its
// metadata.
func parseOrientation(exif []byte) orientation {
	tiff := bytes.TrimPrefix(exif, []byte(exifPrefix))
	if len(tiff) < tiffHeaderSize {
		return 0
	}
	var order binary.ByteOrder
	switch string(tiff[:2]) {
	case "II":
		order = binary.LittleEndian
	case "MM":
		order = binary.BigEndian
	default:
		return 0
	}
	offset := int64(order.Uint32(tiff[4:]))
	if order.Uint16(tiff[2:]) != tiffMagic || offset+2 > int64(len(tiff)) {
		return 0
	}
	directory := tiff[offset:]
	count := int(order.Uint16(directory))
	return findOrientation(tiff, directory[2:], count, order)
}

// findOrientation searches up to count directory entries.
func findOrientation(tiff, entries []byte, count int, order binary.ByteOrder) orientation {
	for range count {
		if len(entries) < tiffEntrySize {
			break
		}
		e := entries[:tiffEntrySize]
		entries = entries[tiffEntrySize:]
		if order.Uint16(e) != tagOrientation {
			continue
		}
		if value := firstValue(tiff, e, order); value == math.Trunc(value) && 1 <= value && value <= 8 {
			return orientation(value)
		}
	}
	return 0
}

// firstValue returns the first number of a directory entry, 0 where there is
// none. The tag must be one SHORT, but some writers use another type or several values,
// which exiftool, exiv2 and Pillow read as well.
func firstValue(tiff, entry []byte, order binary.ByteOrder) float64 {
	kind, count := tiffNumbers[order.Uint16(entry[2:])], uint64(order.Uint32(entry[4:]))
	if kind.size == 0 || count == 0 {
		return 0
	}
	value := entry[8:]
	// Values longer than four bytes are stored at an offset.
	if size := count * kind.size; size > uint64(len(value)) {
		offset := uint64(order.Uint32(value))
		if offset+size > uint64(len(tiff)) {
			return 0
		}
		value = tiff[offset:]
	}
	return kind.read(order, value)
}

// tiffNumbers are the types of TIFF that are numbers, by their codes.
var tiffNumbers = map[uint16]struct {
	size uint64
	read func(order binary.ByteOrder, b []byte) float64
}{
	1:         {1, func(_ binary.ByteOrder, b []byte) float64 { return float64(b[0]) }},
	tiffShort: {2, func(o binary.ByteOrder, b []byte) float64 { return float64(o.Uint16(b)) }},
	4:         {4, func(o binary.ByteOrder, b []byte) float64 { return float64(o.Uint32(b)) }},
	5:         {8, func(o binary.ByteOrder, b []byte) float64 { return float64(o.Uint32(b)) / float64(o.Uint32(b[4:])) }},
	6:         {1, func(_ binary.ByteOrder, b []byte) float64 { return float64(int8(b[0])) }},
	8:         {2, func(o binary.ByteOrder, b []byte) float64 { return float64(int16(o.Uint16(b))) }},
	9:         {4, func(o binary.ByteOrder, b []byte) float64 { return float64(int32(o.Uint32(b))) }},
	10: {8, func(o binary.ByteOrder, b []byte) float64 {
		return float64(int32(o.Uint32(b))) / float64(int32(o.Uint32(b[4:])))
	}},
	11: {4, func(o binary.ByteOrder, b []byte) float64 { return float64(math.Float32frombits(o.Uint32(b))) }},
	12: {8, func(o binary.ByteOrder, b []byte) float64 { return math.Float64frombits(o.Uint64(b)) }},
	13: {4, func(o binary.ByteOrder, b []byte) float64 { return float64(o.Uint32(b)) }},
}

// swaps reports whether width and height are exchanged.
func (o orientation) swaps() bool { return o >= 5 }

// fromRight reports whether the stored columns are in reverse order along their
// upright axis.
func (o orientation) fromRight() bool { return o == 2 || o == 3 || o == 7 || o == 8 }

// fromBottom reports the same for stored rows.
func (o orientation) fromBottom() bool { return o == 3 || o == 4 || o == 6 || o == 7 }

// turn returns the sides of the upright picture.
func (o orientation) turn(width, height int) (int, int) {
	if o.swaps() {
		return height, width
	}
	return width, height
}
