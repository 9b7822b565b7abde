package imaging

import (
	"bytes"
	"encoding/binary"
)

// orientation is the Exif tag of that name (Exif 3.0, 4.6.5.1.6): how the
// stored rows and columns lie in the upright picture. 1 is upright.
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

// parseOrientation reads the orientation from the first directory of an Exif
// structure. Whatever is absent, malformed or out of range means upright: a
// picture is never refused for its metadata.
func parseOrientation(exif []byte) orientation {
	tiff := bytes.TrimPrefix(exif, []byte(exifPrefix))
	if len(tiff) < tiffHeaderSize {
		return upright
	}
	var order binary.ByteOrder
	switch string(tiff[:2]) {
	case "II":
		order = binary.LittleEndian
	case "MM":
		order = binary.BigEndian
	default:
		return upright
	}
	offset := int64(order.Uint32(tiff[4:]))
	if order.Uint16(tiff[2:]) != tiffMagic || offset+2 > int64(len(tiff)) {
		return upright
	}
	directory := tiff[offset:]
	count := int(order.Uint16(directory))
	return findOrientation(directory[2:], count, order)
}

// findOrientation looks through up to count directory entries.
func findOrientation(entries []byte, count int, order binary.ByteOrder) orientation {
	for range count {
		if len(entries) < tiffEntrySize {
			break
		}
		e := entries[:tiffEntrySize]
		entries = entries[tiffEntrySize:]
		if order.Uint16(e) != tagOrientation {
			continue
		}
		value := order.Uint16(e[8:])
		if order.Uint16(e[2:]) != tiffShort || order.Uint32(e[4:]) != 1 || value < 1 || value > 8 {
			break
		}
		return orientation(value)
	}
	return upright
}

// swaps reports whether the upright picture is as wide as the stored one is
// high.
func (o orientation) swaps() bool { return o >= 5 }

// fromRight reports whether stored columns run against the upright axis that
// they lie along, so that the last one comes first.
func (o orientation) fromRight() bool { return o == 2 || o == 3 || o == 7 || o == 8 }

// fromBottom reports the same of stored rows.
func (o orientation) fromBottom() bool { return o == 3 || o == 4 || o == 6 || o == 7 }

// turn returns the sides of the upright picture.
func (o orientation) turn(width, height int) (int, int) {
	if o.swaps() {
		return height, width
	}
	return width, height
}
