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
	profiled      bool   // a text with Exif has been read
	cut           []byte // what is there of a last chunk that is not there completely
}

// Sizes of the PNG format (third edition, 5.3 and 11.2.1) in bytes.
const (
	chunkLengthSize = 4
	chunkNameSize   = 4
	chunkCRCSize    = 4
	chunkOverhead   = chunkLengthSize + chunkNameSize + chunkCRCSize
	ihdrSize        = 13
)

// pngSignature begins every PNG file (third edition, 5.2). It is made to show
// damage by transfers that translate line ends.
const pngSignature = "\x89PNG\r\n\x1a\n"

// readPNGHeader goes through the chunks of a file, up to the one that ends it or
// to the end of the data: whether all pixels are there is for libpng to say. What
// it finds is checked again by libpng.
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
			h.cut = rest
			break
		}
		// libpng is not let read on to the checksum behind the last row.
		if c.name() == "IDAT" && !c.sound() {
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
		if c.sound() {
			h.orientation = parseOrientation(c.body())
		}
	case "tEXt", "zTXt":
		// One is unpacked, however many there are.
		keyword, text, _ := bytes.Cut(c.body(), []byte{0})
		if !h.profiled && slices.Contains(profileKeywords, string(keyword)) && c.sound() {
			h.profiled = true
			h.orientation = parseOrientation(rawProfile(text, c.name() == "zTXt"))
		}
	}
}

// ImageMagick and others kept Exif as text before there was a chunk for it:
// exiftool's table "Raw profile type", which Pillow and exiv2 read as well.
var profileKeywords = []string{"Raw profile type exif", "Raw profile type APP1"}

// maxProfile is how much text is read: more than twice the largest Exif of a JPEG,
// in bytes.
const maxProfile = 256 << 10

// rawProfile returns the Exif in such a text: a name, a length, and the bytes in
// hexadecimal digits, with white space between. It is nil where there is none.
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

// unpack returns up to maxProfile bytes of a text behind its method of compression,
// of which there is one, and as many as there are of a damaged one.
func unpack(text []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(text[min(1, len(text)):]))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(r, maxProfile))
	return out
}

// cutHead is what a cut chunk must have for its pixels to be found.
const cutHead = chunkLengthSize + chunkNameSize

// needsMending reports whether a file ends within a chunk of pixels: libpng takes
// whole chunks only, and what is missing may be no more than a checksum.
func (h *pngHeader) needsMending() bool {
	return len(h.cut) >= cutHead && string(h.cut[chunkLengthSize:cutHead]) == "IDAT"
}

// mended returns a copy of such a file in which that chunk is complete, as far as
// it is there.
func (h *pngHeader) mended(data []byte) []byte {
	body := h.cut[cutHead:]
	body = body[:min(int64(len(body)), int64(binary.BigEndian.Uint32(h.cut)))]
	whole := len(data) - len(h.cut)
	out := append(make([]byte, 0, len(data)+chunkCRCSize), data[:whole]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	out = append(append(out, "IDAT"...), body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[whole+chunkLengthSize:]))
}

// chunk is a whole chunk: length, name, body, checksum.
type chunk []byte

// nextChunk cuts the first chunk off; false when it is not there completely.
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

// sound reports whether the checksum is right. libpng checks those of the other
// chunks that it uses.
func (c chunk) sound() bool {
	sum := crc32.ChecksumIEEE(c[chunkLengthSize : len(c)-chunkCRCSize])
	return sum == binary.BigEndian.Uint32(c[len(c)-chunkCRCSize:])
}
