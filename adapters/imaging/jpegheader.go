package imaging

import (
	"bytes"
	"encoding/binary"
)

// Markers of ITU-T T.81, table B.1. A start of frame is any of 0xC0 to 0xCF
// that is not one of the three other markers in that range.
const (
	markerTEM  = 0x01
	markerSOF0 = 0xC0 // baseline
	markerSOF1 = 0xC1 // extended sequential
	markerSOF2 = 0xC2 // progressive
	markerSOF3 = 0xC3 // lossless
	markerDHT  = 0xC4
	markerSOF5 = 0xC5 // this to 0xC7: hierarchical
	markerJPG  = 0xC8
	markerSOF9 = 0xC9 // this to 0xCF: arithmetic coding
	markerDAC  = 0xCC
	markerSOFF = 0xCF
	markerRST0 = 0xD0
	markerSOI  = 0xD8
	markerEOI  = 0xD9
	markerSOS  = 0xDA
	markerAPP1 = 0xE1
)

// jpegHeader is what a JPEG file says before its first scan.
type jpegHeader struct {
	width, height int
	components    []component
	// severalScans means that libjpeg buffers the coefficients of the whole
	// picture: progressive, or one component per scan.
	severalScans bool
	orientation  orientation
}

// component is a colour channel with its sampling factors.
type component struct{ horizontal, vertical int }

// readJPEGHeader reads the segments before the first scan, as leniently as libjpeg does
// between segments. libjpeg checks them again.
func readJPEGHeader(data []byte) (*jpegHeader, error) {
	h := &jpegHeader{}
	for s := (segments{rest: data[len(jpegMagic):]}); s.next(); {
		switch {
		case isFrame(s.marker):
			if err := h.readFrame(s.marker, s.body); err != nil {
				return nil, err
			}
		case s.marker == markerAPP1 && h.orientation == 0 && bytes.HasPrefix(s.body, []byte(exifPrefix)):
			h.orientation = parseOrientation(s.body)
		case s.marker == markerSOS:
			return h, h.readScan(s.body)
		}
	}
	return nil, errDamaged
}

func isFrame(marker byte) bool {
	return marker >= markerSOF0 && marker <= markerSOFF &&
		marker != markerDHT && marker != markerJPG && marker != markerDAC
}

// readFrame reads a frame header (T.81, B.2.2).
func (h *jpegHeader) readFrame(marker byte, body []byte) error {
	const fixed, each = 6, 3
	if len(body) < fixed || h.components != nil {
		return errDamaged
	}
	count := int(body[5])
	if kind := unsupportedKind(marker, body[0], count); kind != "" {
		return refuseKind(kind)
	}
	if body[0] != 8 || count == 0 || len(body) != fixed+each*count {
		return errDamaged
	}
	h.height = int(binary.BigEndian.Uint16(body[1:]))
	h.width = int(binary.BigEndian.Uint16(body[3:]))
	h.severalScans = marker == markerSOF2
	for i := range count {
		factors := body[fixed+each*i+1]
		c := component{horizontal: int(factors >> 4), vertical: int(factors & 15)}
		if c.horizontal < 1 || c.horizontal > 4 || c.vertical < 1 || c.vertical > 4 {
			return errDamaged
		}
		h.components = append(h.components, c)
	}
	return nil
}

// unsupportedKind names the unsupported feature of a frame, "" where there is none.
func unsupportedKind(marker, bits byte, components int) string {
	switch {
	case marker >= markerSOF9:
		return "Arithmetic-coded"
	case marker >= markerSOF5:
		return "Hierarchical"
	case marker == markerSOF3:
		return "Lossless"
	case bits == 12:
		return "12-bit"
	case components == 4:
		return "CMYK"
	case components == 2 || components > 4:
		return "Multi-channel"
	}
	return ""
}

// readScan reads the scan header (T.81, B.2.3) that ends the tables.
func (h *jpegHeader) readScan(body []byte) error {
	if len(body) < 1 || h.components == nil {
		return errDamaged
	}
	if int(body[0]) < len(h.components) {
		h.severalScans = true
	}
	h.orientation = max(h.orientation, upright)
	return nil
}

// segments iterates over the marker segments of a JPEG file.
type segments struct {
	rest   []byte
	marker byte
	body   []byte
}

// next moves to the next segment. It returns false at the end of the image, at the end
// of the data and where a segment is longer than the data.
func (s *segments) next() bool {
	for s.skipToMarker() {
		switch m := s.marker; {
		case m == markerTEM || m >= markerRST0 && m < markerSOI:
			continue // without a body
		case m == markerSOI || m == markerEOI:
			return false
		}
		if len(s.rest) < 2 {
			return false
		}
		length := int(binary.BigEndian.Uint16(s.rest))
		if length < 2 || length > len(s.rest) {
			return false
		}
		s.body, s.rest = s.rest[2:length], s.rest[length:]
		return true
	}
	return false
}

// skipToMarker skips fill bytes and stray data, which some cameras leave behind a
// segment.
func (s *segments) skipToMarker() bool {
	for {
		i := bytes.IndexByte(s.rest, 0xFF)
		if i < 0 {
			return false
		}
		for i < len(s.rest) && s.rest[i] == 0xFF {
			i++
		}
		if i == len(s.rest) {
			return false
		}
		s.marker, s.rest = s.rest[i], s.rest[i+1:]
		if s.marker != 0 {
			return true
		}
	}
}
