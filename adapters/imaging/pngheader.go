package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"slices"
)

// pngHeader is what the chunks of a PNG file say about it.
type pngHeader struct {
	width, height int
	orientation   orientation
	interlaced    bool
	profiled      bool   // an Exif profile in a text chunk has been read
	truncated     []byte // the rest of the file from an incomplete last chunk on
}

// Sizes of the PNG format (third edition, 5.3 and 11.2.1) in bytes.
const (
	chunkLengthSize = 4
	chunkNameSize   = 4
	chunkCRCSize    = 4
	chunkOverhead   = chunkLengthSize + chunkNameSize + chunkCRCSize
	ihdrSize        = 13
)

// pngSignature begins every PNG file (third edition, 5.2).
const pngSignature = "\x89PNG\r\n\x1a\n"

// readPNGHeader reads the chunks of a file, up to IEND or the end of the data. Whether
// all pixels are there is checked by libpng, which checks the header again, too.
func readPNGHeader(data []byte) (*pngHeader, error) {
	rest, ok := bytes.CutPrefix(data, []byte(pngSignature))
	if !ok {
		return nil, errDamaged
	}
	c, rest, ok := nextChunk(rest)
	if !ok || c.name() != "IHDR" || len(c.body()) != ihdrSize {
		return nil, errDamaged
	}
	h := &pngHeader{
		width:      int(binary.BigEndian.Uint32(c.body())),
		height:     int(binary.BigEndian.Uint32(c.body()[4:])),
		interlaced: c.body()[ihdrSize-1] != 0,
	}
	for c.name() != "IEND" {
		if c, rest, ok = nextChunk(rest); !ok {
			h.truncated = rest
			break
		}
		// libpng stops before the checksum behind the last row.
		if c.name() == "IDAT" && !c.validCRC() {
			return nil, errDamaged
		}
		if h.orientation == 0 {
			h.readExif(c)
		}
	}
	h.orientation = max(h.orientation, upright)
	return h, nil
}

// readExif takes the orientation from a chunk with Exif in it.
func (h *pngHeader) readExif(c chunk) {
	switch c.name() {
	case "eXIf":
		if c.validCRC() {
			h.orientation = parseOrientation(c.body())
		}
	case "tEXt", "zTXt":
		// At most one is decompressed, however many there are.
		keyword, text, _ := bytes.Cut(c.body(), []byte{0})
		if !h.profiled && slices.Contains(profileKeywords, string(keyword)) && c.validCRC() {
			h.profiled = true
			h.orientation = parseOrientation(rawProfile(text, c.name() == "zTXt"))
		}
	}
}

// ImageMagick and others kept Exif as text before there was a chunk for it:
// exiftool's table "Raw profile type", which Pillow and exiv2 read as well.
var profileKeywords = []string{"Raw profile type exif", "Raw profile type APP1"}

// maxProfile bounds the text, in bytes: more than twice the largest Exif of a JPEG.
const maxProfile = 256 << 10

// rawProfile returns the Exif in such a text: a name, a length, and the bytes in
// hexadecimal digits, with white space in between. It is nil where there is none.
func rawProfile(text []byte, packed bool) []byte {
	if packed {
		text = unpack(text)
	}
	fields := bytes.Fields(text[:min(len(text), maxProfile)])
	if len(fields) < 3 {
		return nil
	}
	digits := bytes.Join(fields[2:], nil)
	exif := make([]byte, len(digits)/2)
	n, _ := hex.Decode(exif, digits[:2*len(exif)])
	return exif[:n]
}

// unpack decompresses up to maxProfile bytes of a text, which begins with a byte for the
// compression method. Of a damaged text it returns what could be decompressed.
func unpack(text []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(text[min(1, len(text)):]))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(r, maxProfile))
	return out
}

// chunkHead is the length and the name of a chunk.
const chunkHead = chunkLengthSize + chunkNameSize

// needsRepair reports whether a file ends within an IDAT chunk: libpng reads whole
// chunks only, and only the checksum may be missing.
func (h *pngHeader) needsRepair() bool {
	return len(h.truncated) >= chunkHead && string(h.truncated[chunkLengthSize:chunkHead]) == "IDAT"
}

// repaired returns a copy of such a file in which the last chunk is shortened to the
// data there is, with its checksum.
func (h *pngHeader) repaired(data []byte) []byte {
	body := h.truncated[chunkHead:]
	body = body[:min(int64(len(body)), int64(binary.BigEndian.Uint32(h.truncated)))]
	whole := len(data) - len(h.truncated)
	out := append(make([]byte, 0, len(data)+chunkCRCSize), data[:whole]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	out = append(append(out, "IDAT"...), body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[whole+chunkLengthSize:]))
}

// chunk is a whole chunk: length, name, body, checksum.
type chunk []byte

// nextChunk splits off the first chunk; false when it is incomplete.
func nextChunk(data []byte) (c chunk, rest []byte, ok bool) {
	if len(data) < chunkOverhead {
		return nil, data, false
	}
	length := int64(binary.BigEndian.Uint32(data)) + chunkOverhead
	if length > int64(len(data)) {
		return nil, data, false
	}
	return chunk(data[:length]), data[length:], true
}

func (c chunk) name() string { return string(c[chunkLengthSize:][:chunkNameSize]) }

func (c chunk) body() []byte { return c[chunkLengthSize+chunkNameSize : len(c)-chunkCRCSize] }

// validCRC reports whether the checksum is right. libpng checks those of the other
// chunks that it uses.
func (c chunk) validCRC() bool {
	sum := crc32.ChecksumIEEE(c[chunkLengthSize : len(c)-chunkCRCSize])
	return sum == binary.BigEndian.Uint32(c[len(c)-chunkCRCSize:])
}
